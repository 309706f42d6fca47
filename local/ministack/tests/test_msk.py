"""The secrets of an MSK cluster."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Gateway


def _cluster(gateway: Gateway, name: str) -> str:
    brokers = {"InstanceType": "kafka.m5.large", "ClientSubnets": ["subnet-1", "subnet-2"]}
    made = gateway.client("kafka").create_cluster(ClusterName=name, KafkaVersion="3.6.0", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=brokers)
    return str(made["ClusterArn"])


def _secret(gateway: Gateway, name: str, **words: Any) -> str:
    return str(gateway.client("secretsmanager").create_secret(Name=name, SecretString="{}", **words)["ARN"])


def test_only_a_secret_of_the_right_name_and_key_is_associated(gateway: Gateway) -> None:
    client, cluster = gateway.client("kafka"), _cluster(gateway, "msk-one")
    key = gateway.client("kms").create_key()["KeyMetadata"]["Arn"]
    good = _secret(gateway, "AmazonMSK_good", KmsKeyId=key)
    bad = {
        _secret(gateway, "msk-name", KmsKeyId=key): "AmazonMSK_",
        _secret(gateway, "AmazonMSK_key"): "customer managed key",
        good + "x": "does not exist",
    }
    answer = client.batch_associate_scram_secret(ClusterArn=cluster, SecretArnList=[good, *bad])
    unprocessed = {one["SecretArn"]: one["ErrorMessage"] for one in answer["UnprocessedScramSecrets"]}
    assert unprocessed.keys() == bad.keys() and all(bad[arn] in text for arn, text in unprocessed.items()), unprocessed
    assert client.list_scram_secrets(ClusterArn=cluster)["SecretArnList"] == [good]
    client.batch_disassociate_scram_secret(ClusterArn=cluster, SecretArnList=[good])
    assert client.list_scram_secrets(ClusterArn=cluster)["SecretArnList"] == []


def test_role_lists_the_secrets_of_the_cluster_in_its_policy(gateway: Gateway) -> None:
    mine, other = _cluster(gateway, "msk-mine"), _cluster(gateway, "msk-other")
    role = gateway.role("msk-role", [{"Effect": "Allow", "Action": "kafka:ListScramSecrets", "Resource": mine}])
    client = gateway.as_role("kafka", role)
    assert client.list_scram_secrets(ClusterArn=mine)["SecretArnList"] == []
    with pytest.raises(ClientError) as error:
        client.list_scram_secrets(ClusterArn=other)
    assert "AccessDenied" in error.value.response["Error"]["Code"]
