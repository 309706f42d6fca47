"""Customer managed keys behind S3 objects and secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, TARGET, Gateway
from kit import key

READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}
VIA_S3 = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}


def sealed_bucket(gateway: Gateway, name: str, arn: str) -> None:
    """A bucket of the source's account under a key, open to the target's account."""
    s3 = gateway.client("s3", SOURCE)
    s3.create_bucket(Bucket=name)
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}]})
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}]}))
    s3.put_object(Bucket=name, Key="in/a", Body=b"a")


def admit(gateway: Gateway, arn: str, **condition: Any) -> None:
    """Let the target's account use a key of the source's."""
    statements = [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"}, "Action": "kms:*", "Resource": "*"},
                  {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}, "Action": "kms:Decrypt", "Resource": "*", **condition}]
    gateway.client("kms", SOURCE).put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": statements}))


def test_object_under_a_key_needs_decrypt_in_the_role_and_in_the_key(gateway: Gateway) -> None:
    arn = key(gateway, SOURCE)
    sealed_bucket(gateway, "gw-sealed", arn)
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": arn, "Condition": VIA_S3}
    plain = gateway.as_role("s3", gateway.role("gw-sealed-plain", [READ]))
    granted = gateway.as_role("s3", gateway.role("gw-sealed-granted", [READ, decrypt]))
    for client in (plain, granted):
        with pytest.raises(ClientError, match="kms:Decrypt"):
            client.get_object(Bucket="gw-sealed", Key="in/a")
    admit(gateway, arn, Condition=VIA_S3)
    with pytest.raises(ClientError, match="kms:Decrypt"):
        plain.get_object(Bucket="gw-sealed", Key="in/a")
    assert granted.get_object(Bucket="gw-sealed", Key="in/a")["Body"].read() == b"a"
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        granted.put_object(Bucket="gw-sealed", Key="in/b", Body=b"b")


def test_secret_under_a_key_needs_decrypt_for_this_secret(gateway: Gateway) -> None:
    arn = key(gateway)
    secret = gateway.client("secretsmanager").create_secret(Name="gw-sealed", SecretString="a", KmsKeyId=arn)["ARN"]
    read = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"], "Resource": secret}

    def role(name: str, of: str, *actions: str) -> Any:
        return gateway.as_role("secretsmanager", gateway.role(name, [read, {
            "Effect": "Allow", "Action": list(actions), "Resource": arn, "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": of}}}]))

    reader = role("gw-secret-key", secret, "kms:Decrypt")
    assert reader.get_secret_value(SecretId=secret)["SecretString"] == "a"
    with pytest.raises(ClientError, match="Access to KMS is not allowed.*kms:GenerateDataKey"):
        reader.put_secret_value(SecretId=secret, SecretString="b")
    assert role("gw-secret-write", secret, "kms:Decrypt", "kms:GenerateDataKey").put_secret_value(SecretId=secret, SecretString="b")
    with pytest.raises(ClientError, match="Access to KMS is not allowed.*kms:Decrypt"):
        role("gw-secret-other", f"{secret}x", "kms:Decrypt").get_secret_value(SecretId=secret)
