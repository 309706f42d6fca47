"""Secrets Manager's version rules."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import Gateway


def _secret(gateway: Gateway, name: str) -> tuple[Any, str, str]:
    client = gateway.client("secretsmanager")
    arn = client.create_secret(Name=name, SecretString='{"v":1}')["ARN"]
    return client, arn, client.get_secret_value(SecretId=arn)["VersionId"]


def stages(client: Any, arn: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    return found


def test_a_version_id_and_a_stage_it_does_not_carry_find_nothing(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-stage")
    assert client.get_secret_value(SecretId=arn, VersionId=version, VersionStage="AWSCURRENT")["SecretString"] == '{"v":1}'
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId=arn, VersionId=version, VersionStage="AWSPENDING")


def test_token_is_idempotent_for_the_same_value_only(gateway: Gateway) -> None:
    client, arn, _ = _secret(gateway, "gw-sm-token")
    token = str(uuid.uuid4())
    put = {"SecretId": arn, "ClientRequestToken": token, "VersionStages": ["own"]}
    first = client.put_secret_value(SecretString="a", **put)
    assert client.put_secret_value(SecretString="a", **put)["VersionStages"] == first["VersionStages"] == ["own"]
    with pytest.raises(client.exceptions.ResourceExistsException):
        client.put_secret_value(SecretString="b", **put)
    assert client.get_secret_value(SecretId=arn, VersionId=token)["SecretString"] == "a"


def test_putting_the_current_value_again_keeps_it_current(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-own")
    client.put_secret_value(SecretId=arn, ClientRequestToken=version, SecretString='{"v":1}', VersionStages=["AWSPENDING"])
    assert stages(client, arn) == {version: ["AWSCURRENT"]}


def test_a_label_moves_from_the_version_that_had_it(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-move")
    first = client.put_secret_value(SecretId=arn, SecretString="a", VersionStages=["AWSPENDING"])["VersionId"]
    second = client.put_secret_value(SecretId=arn, SecretString="b", VersionStages=["AWSPENDING", "own"])["VersionId"]
    found = stages(client, arn)
    assert found[version] == ["AWSCURRENT"] and first not in found and sorted(found[second]) == ["AWSPENDING", "own"]


def test_new_current_version_keeps_its_other_labels(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-both")
    made = client.put_secret_value(SecretId=arn, SecretString="a", VersionStages=["AWSCURRENT", "own"])["VersionId"]
    found = stages(client, arn)
    assert sorted(found[made]) == ["AWSCURRENT", "own"] and found[version] == ["AWSPREVIOUS"]


def test_moving_a_label_from_the_wrong_version_is_rejected(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-mismatch")
    made = client.put_secret_value(SecretId=arn, SecretString="a", VersionStages=["own"])["VersionId"]
    client.put_secret_value(SecretId=arn, SecretString="b")
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=made, RemoveFromVersionId=version)
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=made)


def test_moving_awscurrent_makes_the_old_version_previous(gateway: Gateway) -> None:
    client, arn, version = _secret(gateway, "gw-sm-current")
    made = client.put_secret_value(SecretId=arn, SecretString="a", VersionStages=["own"])["VersionId"]
    client.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=made, RemoveFromVersionId=version)
    found = stages(client, arn)
    assert sorted(found[made]) == ["AWSCURRENT", "own"] and found[version] == ["AWSPREVIOUS"]
