"""IAM as AWS evaluates it, where the kit depends on it: bucket policies across accounts, KMS, Step
Functions.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import SOURCE, TARGET, Gateway

READ = [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]


def bucket(gateway: Gateway, name: str, *statements: dict[str, Any]) -> None:
    s3 = gateway.client("s3", SOURCE)
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="in/a", Body=b"a")
    if statements:
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def grant(name: str, principal: str, action: str = "s3:GetObject", key: str = "/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": f"arn:aws:s3:::{name}{key}", **more}


def reads(gateway: Gateway, role: dict[str, str], name: str) -> bool:
    try:
        gateway.as_role("s3", role).get_object(Bucket=name, Key="in/a")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        return False
    return True


def test_bucket_policy_for_a_role_admits_that_role_only(gateway: Gateway) -> None:
    one, other = gateway.role("gw-s3-one", READ), gateway.role("gw-s3-other", READ)
    bucket(gateway, "gw-by-role", grant("gw-by-role", one["Arn"]))
    assert reads(gateway, one, "gw-by-role")
    assert not reads(gateway, other, "gw-by-role")


def test_bucket_policy_with_a_role_condition_admits_that_role(gateway: Gateway) -> None:
    one, other = gateway.role("gw-s3-cond", READ), gateway.role("gw-s3-cond-other", READ)
    bucket(gateway, "gw-by-condition", grant("gw-by-condition", f"arn:aws:iam::{TARGET}:root",
                                             Condition={"ArnEquals": {"aws:PrincipalArn": one["Arn"]}}))
    assert reads(gateway, one, "gw-by-condition")
    assert not reads(gateway, other, "gw-by-condition")


def test_across_accounts_the_role_needs_its_own_grant_too(gateway: Gateway) -> None:
    bare = gateway.role("gw-s3-bare", [])
    bucket(gateway, "gw-bare", grant("gw-bare", bare["Arn"]))
    assert not reads(gateway, bare, "gw-bare")


def test_a_deny_for_a_role_is_seen(gateway: Gateway) -> None:
    role = gateway.role("gw-s3-deny", READ)
    bucket(gateway, "gw-deny", grant("gw-deny", f"arn:aws:iam::{TARGET}:root"), {**grant("gw-deny", role["Arn"]), "Effect": "Deny"})
    assert not reads(gateway, role, "gw-deny")


def test_star_in_a_policy_matches_a_line_break(gateway: Gateway) -> None:
    role = gateway.role("gw-s3-lines", [{**READ[0], "Resource": "arn:aws:s3:::gw-lines/in/*"}])
    bucket(gateway, "gw-lines", grant("gw-lines", role["Arn"], key="/in/*"))
    gateway.client("s3", SOURCE).put_object(Bucket="gw-lines", Key="in/a\nb\n", Body=b"two lines")
    client = gateway.as_role("s3", role)
    assert client.get_object(Bucket="gw-lines", Key="in/a\nb\n")["Body"].read() == b"two lines"
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_object(Bucket="gw-lines", Key="out/a\nb")


def test_concurrent_requests_are_evaluated_for_their_callers(gateway: Gateway) -> None:
    one, other = gateway.role("gw-s3-par", READ), gateway.role("gw-s3-par-other", READ)
    bucket(gateway, "gw-parallel", grant("gw-parallel", one["Arn"]))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: reads(gateway, other if number % 2 else one, "gw-parallel"), range(40)))
    assert found == [number % 2 == 0 for number in range(40)]


def test_the_resource_account_of_a_bucket_is_its_owners(gateway: Gateway) -> None:
    def role(name: str, account: str) -> dict[str, str]:
        return gateway.role(name, [{**READ[0], "Condition": {"StringEquals": {"aws:ResourceAccount": account}}}])

    right, wrong = role("gw-s3-owner", SOURCE), role("gw-s3-not-owner", TARGET)
    bucket(gateway, "gw-owner", grant("gw-owner", f"arn:aws:iam::{TARGET}:root"))
    assert reads(gateway, right, "gw-owner")
    assert not reads(gateway, wrong, "gw-owner")


def test_plain_http_on_loopback_counts_as_tls(gateway: Gateway) -> None:
    role = gateway.role("gw-s3-tls", READ)
    bucket(gateway, "gw-tls", grant("gw-tls", role["Arn"]), {
        **grant("gw-tls", "*", "s3:*"), "Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
    assert reads(gateway, role, "gw-tls")


def test_listing_is_evaluated_with_its_prefix(gateway: Gateway) -> None:
    role = gateway.role("gw-s3-list", READ)
    bucket(gateway, "gw-list", grant("gw-list", role["Arn"], "s3:ListBucket", "", Condition={"StringLike": {"s3:prefix": "in/*"}}))
    client = gateway.as_role("s3", role)
    assert client.list_objects_v2(Bucket="gw-list", Prefix="in/")["KeyCount"] == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket="gw-list", Prefix="out/")


def _key(gateway: Gateway) -> tuple[str, str]:
    made = gateway.client("kms").create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}, "Action": "kms:*", "Resource": "*"}]}))["KeyMetadata"]
    return made["KeyId"], made["Arn"]


@pytest.mark.parametrize("missing", ["kms:Encrypt", "kms:Decrypt"])
def test_kms_is_refused_by_the_action_that_is_missing(gateway: Gateway, missing: str) -> None:
    key, arn = _key(gateway)
    has = ({"kms:Encrypt", "kms:Decrypt"} - {missing}).pop()
    role = gateway.role(f"gw-kms-{missing[4:].lower()}", [{"Effect": "Allow", "Action": has, "Resource": arn}])
    client = gateway.as_role("kms", role)
    sealed = gateway.client("kms").encrypt(KeyId=key, Plaintext=b"s", EncryptionContext={"RequestId": "r"})["CiphertextBlob"]
    calls = {"kms:Encrypt": lambda: client.encrypt(KeyId=key, Plaintext=b"s"),
             "kms:Decrypt": lambda: client.decrypt(CiphertextBlob=sealed, EncryptionContext={"RequestId": "r"})}
    calls[has]()
    with pytest.raises(ClientError, match=missing):
        calls[missing]()


def test_kms_conditions_see_the_encryption_context(gateway: Gateway) -> None:
    key, arn = _key(gateway)
    role = gateway.role("gw-kms-context", [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": arn, "Condition": {
        "StringEquals": {"kms:EncryptionContext:RequestId": "r"}}}])
    client = gateway.as_role("kms", role)
    assert client.encrypt(KeyId=key, Plaintext=b"s", EncryptionContext={"RequestId": "r"})["CiphertextBlob"]
    with pytest.raises(ClientError, match="kms:Encrypt"):
        client.encrypt(KeyId=key, Plaintext=b"s", EncryptionContext={"RequestId": "other"})
    with pytest.raises(ClientError, match="kms:Encrypt"):
        client.encrypt(KeyId=key, Plaintext=b"s")


def test_alias_is_evaluated_as_its_key(gateway: Gateway) -> None:
    key, arn = _key(gateway)
    gateway.client("kms").create_alias(AliasName="alias/gw", TargetKeyId=key)
    role = gateway.role("gw-kms-alias", [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": arn}])
    assert gateway.as_role("kms", role).encrypt(KeyId="alias/gw", Plaintext=b"s")["KeyId"] == arn


def test_start_execution_needs_a_grant_on_the_state_machine(gateway: Gateway) -> None:
    root = gateway.client("stepfunctions")
    machine_role = gateway.role("gw-sfn-machine", [])["Arn"]
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    machine = root.create_state_machine(name="gw-machine", definition=definition, roleArn=machine_role)["stateMachineArn"]
    granted = gateway.role("gw-sfn-yes", [{"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}])
    assert gateway.as_role("stepfunctions", granted).start_execution(stateMachineArn=machine)["executionArn"]
    bare = gateway.role("gw-sfn-no", [])
    with pytest.raises(ClientError, match="states:StartExecution"):
        gateway.as_role("stepfunctions", bare).start_execution(stateMachineArn=machine)
