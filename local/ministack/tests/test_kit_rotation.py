"""The rotation templates in a VPC, with customer managed keys, and what Lambda refuses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import TARGET, Gateway
from functions import function
from kit import NAMES, KitStack, key, template

ROTATIONS = [name for name in NAMES if name.startswith("rotation-") and name != "rotation-consumers"]


@pytest.fixture(scope="module")
def network(gateway: Gateway) -> tuple[str, str]:
    """Subnets and security groups, as the parameters of a template take them."""
    ec2 = gateway.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)]
    group = ec2.create_security_group(GroupName="gw-rotation", Description="d", VpcId=vpc)["GroupId"]
    return ",".join(subnets), group


# One gateway serves all tests.
_NUMBERS = itertools.count()


def parameters(gateway: Gateway, kind: str) -> dict[str, str]:
    """What a rotation template requires."""
    secret = gateway.client("secretsmanager").create_secret(Name=f"AmazonMSK_{kind}_{next(_NUMBERS)}", SecretString="{}")["ARN"]
    of_kind = {
        "rotation-sql": {"Engine": "postgres"},
        "rotation-msk": {"MskClusterArn": f"arn:aws:kafka:us-east-1:{TARGET}:cluster/c/11111111-2222-3333-4444-555555555555-1",
                         "SecretKeyArn": key(gateway)},
        "rotation-elasticache": {"Engine": "elasticache-token", "ReplicationGroupId": "rg", "EndpointHost": "h"},
        "rotation-api-key": {"ApiKeyPreset": "confluent-cloud", "AdminSecretArn": secret, "ApiKeyOwner": "sa-123", "ApiKeyResource": "lkc-1",
                             "ApiKeyEndpoint": "https://k.example.com"},
    }
    return {"SecretArn": secret, "RotateImmediately": "false", **of_kind.get(kind, {})}


@pytest.mark.parametrize("kind", ROTATIONS)
def test_rotation_in_a_vpc_with_an_environment_key_deploys(gateway: Gateway, network: tuple[str, str], kind: str) -> None:
    arn = key(gateway)
    with KitStack(gateway, f"gw-{kind}", kind) as stack:
        stack.made(**parameters(gateway, kind), SubnetIds=network[0], SecurityGroupIds=network[1], EnvironmentKeyArn=arn)
        config = gateway.client("lambda").get_function_configuration(FunctionName=stack.outputs()["FunctionArn"])
        assert config["VpcConfig"]["SubnetIds"] == network[0].split(",")
        assert config["VpcConfig"]["SecurityGroupIds"] == [network[1]]
        assert config["KMSKeyArn"] == arn
        read = [one for one in stack.policy("RotationRole") if "ec2:DescribeSubnets" in one["Action"]]
        assert [one["Resource"] for one in read] == ["*"]


@pytest.mark.parametrize("kind", ["rotation-sql", "rotation-redshift", "rotation-kafka", "rotation-elasticache", "rotation-msk", "rotation-api-key"])
def test_rotation_grants_the_keys_of_its_secrets(gateway: Gateway, kind: str) -> None:
    given, secret, admin = parameters(gateway, kind), key(gateway), key(gateway)
    admins = "AdminSecretArn" in template(kind)["Parameters"]
    if admins:
        given["AdminSecretArn"] = gateway.client("secretsmanager").create_secret(Name=f"gw-admin-{kind}", SecretString="{}")["ARN"]
        given["AdminSecretKeyArn"] = admin
    with KitStack(gateway, f"gw-keys-{kind}", kind) as stack:
        stack.made(**{**given, "SecretKeyArn": secret})
        found = {one["Sid"]: (one["Action"], one["Resource"], one["Condition"]) for one in stack.policy("RotationRole")
                 if one["Sid"] in ("UseSecretKey", "UseAdminKey")}
        of = "kms:EncryptionContext:SecretARN"
        wanted = {"UseSecretKey": (["kms:Decrypt", "kms:GenerateDataKey"], secret, {"StringEquals": {of: given["SecretArn"]}})}
        if admins:
            wanted["UseAdminKey"] = ("kms:Decrypt", admin, {"StringEquals": {of: given["AdminSecretArn"]}})
        assert found == wanted


@pytest.mark.parametrize("given", ["SubnetIds", "SecurityGroupIds"])
def test_subnets_without_groups_and_groups_without_subnets_are_refused(
        gateway: Gateway, network: tuple[str, str], given: str) -> None:
    value = network[0] if given == "SubnetIds" else network[1]
    stack = KitStack(gateway, f"gw-half-{given}", "rotation-kafka")
    with pytest.raises(ClientError, match="Set both SubnetIds and SecurityGroupIds"):
        stack.deploy(SecretArn=f"arn:aws:secretsmanager:us-east-1:{TARGET}:secret:s-abcdef", **{given: value})


def narrowed(resource: str) -> list[dict[str, Any]]:
    actions = ["Create", "Delete"]
    return [{"Effect": "Allow", "Action": ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"], "Resource": "*"},
            {"Effect": "Allow", "Action": [f"ec2:{one}NetworkInterface" for one in actions],
             "Resource": [resource.replace("TYPE", one) for one in ("network-interface", "subnet", "security-group")]}]


@pytest.mark.parametrize(("statements", "missing"), [
    ([], "CreateNetworkInterface"),
    (narrowed(f"arn:aws:ec2:us-east-1:{TARGET}:TYPE/*"), "CreateNetworkInterface"),
    ([*narrowed("*")[:1], {"Effect": "Allow", "Action": "ec2:CreateNetworkInterface", "Resource": "*"}], "DeleteNetworkInterface"),
    (narrowed("*")[1:], "DescribeNetworkInterfaces"),
])
def test_function_in_a_vpc_needs_a_role_that_may_join_it(
        gateway: Gateway, network: tuple[str, str], statements: list[dict[str, Any]], missing: str) -> None:
    config = {"SubnetIds": network[0].split(","), "SecurityGroupIds": [network[1]]}
    name = f"gw-vpc-{missing}-{len(statements)}"
    with pytest.raises(ClientError, match=f"does not have permissions to call {missing} on EC2"):
        function(gateway, name, "", statements, VpcConfig=config)
    function(gateway, f"{name}-yes", "", narrowed("*"), VpcConfig=config)


def test_function_that_joins_a_vpc_later_is_checked_too(gateway: Gateway, network: tuple[str, str]) -> None:
    function(gateway, "gw-vpc-later", "", [])
    with pytest.raises(ClientError, match="CreateNetworkInterface"):
        gateway.client("lambda").update_function_configuration(
            FunctionName="gw-vpc-later", VpcConfig={"SubnetIds": network[0].split(","), "SecurityGroupIds": [network[1]]})


def test_environment_key_needs_a_role_that_may_decrypt(gateway: Gateway) -> None:
    arn = key(gateway)
    with pytest.raises(ClientError, match="Lambda was unable to decrypt the environment variables because KMS access was denied"):
        function(gateway, "gw-env-no", "", [], KMSKeyArn=arn)
    function(gateway, "gw-env-yes", "", [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": arn}], KMSKeyArn=arn)


def test_stack_whose_role_names_types_of_resources_fails(gateway: Gateway, network: tuple[str, str]) -> None:
    """The grants of version 0.0: types of resources instead of all of an account and Region."""
    changed = template("rotation-kafka")
    statements = changed["Resources"]["RotationRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    joins = [one["Fn::If"][1] for one in statements if one.get("Fn::If", [""])[0] == "InVpc"]
    joins[0]["Resource"] = [f"arn:aws:ec2:us-east-1:{TARGET}:{kind}/*" for kind in ("network-interface", "subnet", "security-group")]
    with KitStack(gateway, "gw-vpc-old", "rotation-kafka") as stack:
        secret = f"arn:aws:secretsmanager:us-east-1:{TARGET}:secret:old-abcdef"
        found = stack.deploy(changed, SecretArn=secret, SubnetIds=network[0], SecurityGroupIds=network[1])
        assert found["StackStatus"] == "ROLLBACK_COMPLETE"
        assert any("does not have permissions to call CreateNetworkInterface on EC2" in one for one in stack.failures())
