"""The kit's roles below a path and under the published permissions boundary."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, SOURCE, TARGET, Gateway
from kit import ROOT, KitStack, template

HUB = "777777777777"
PATH = "/bank/sluice/"
PUBLISHED = json.loads((ROOT / "docs" / "security" / "permissions-boundary.json").read_text())
# A function of the hub that reads in another account as the compiled ones do
# (crates/alerts/src/lookup/assume.rs).
READS = """
import boto3, os
def handler(event, context):
    if "account" not in event:
        return {}
    role = f"arn:aws:iam::{event['account']}:role/{os.environ['READ_ROLE_NAME']}"
    try:
        found = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="sluice-alerts")["Credentials"]
        read = boto3.client("cloudformation", aws_access_key_id=found["AccessKeyId"], aws_secret_access_key=found["SecretAccessKey"],
                            aws_session_token=found["SessionToken"])
        return {"read": len(read.describe_stack_events(StackName=event["stack"])["StackEvents"]) > 0, "role": role}
    except Exception as error:
        return {"error": str(error), "role": role}
"""


def boundary(gateway: Gateway, account: str, name: str, without: str = "") -> str:
    """The published boundary as a policy of an account, without one action."""
    document = {**PUBLISHED, "Statement": [{**one, "Action": [it for it in one["Action"] if it != without]} for one in PUBLISHED["Statement"]]}
    document["Statement"] = [one for one in document["Statement"] if one["Action"]]
    arn: str = gateway.client("iam", account).create_policy(PolicyName=name, Path="/limits/", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    return arn


def roles(gateway: Gateway, stack: KitStack) -> dict[str, tuple[str, str]]:
    """The path and the boundary of every role of a stack."""
    listed = stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]
    names = [one["PhysicalResourceId"] for one in listed if one["ResourceType"] == "AWS::IAM::Role"]
    found = {name: gateway.client("iam", stack.account).get_role(RoleName=name)["Role"] for name in names}
    return {name: (role["Path"], role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")) for name, role in found.items()}


def reading_hub() -> dict[str, Any]:
    hub = template("alerts-hub")
    hub["Resources"]["FailureFunction"]["Properties"]["InlineCode"] = READS
    return hub


@pytest.mark.parametrize("path", ["/", PATH])
def test_hub_reads_a_spoke_below_the_path_and_the_boundary(gateway: Gateway, path: str) -> None:
    spoke_account = f"77777777777{len(path)}"[:12]
    names = {"name": f"gw-roles-{len(path)}", "bus": f"gw-roles-{len(path)}"}
    limit, spoke_limit = (boundary(gateway, one, names["name"]) for one in (HUB, spoke_account))
    hub, spoke = KitStack(gateway, names["name"], "alerts-hub", HUB), KitStack(gateway, names["name"], "alerts-spoke", spoke_account)
    with hub, spoke:
        given = {"SpokeAccounts": spoke_account, "BusName": names["bus"], "RolePath": path}
        assert hub.deploy(reading_hub(), **given, PermissionsBoundaryArn=limit)["StackStatus"] == "CREATE_COMPLETE", hub.failures()
        outputs = hub.outputs()
        assert outputs["RolePath"] == path
        spoke.made(HubBusArn=outputs["BusArn"], ReaderRoleArns=outputs["ReaderRoleArns"], ReadRoleName=outputs["ReadRoleName"],
                   RolePath=outputs["RolePath"], PermissionsBoundaryArn=spoke_limit)
        assert len(roles(gateway, hub)) == 5 and set(roles(gateway, hub).values()) == {(path, limit)}
        assert len(roles(gateway, spoke)) == 3 and set(roles(gateway, spoke).values()) == {(path, spoke_limit)}

        def read() -> dict[str, Any]:
            event = {"account": spoke_account, "stack": spoke.name}
            answer = gateway.client("lambda", HUB).invoke(FunctionName=hub.physical("FailureFunction"), Payload=json.dumps(event))
            found: dict[str, Any] = json.loads(answer["Payload"].read())
            return found

        assert read() == {"read": True, "role": f"arn:aws:iam::{spoke_account}:role{path}sluice-alerts-read"}
        # Without one of the two actions, the boundary of one side refuses.
        short = boundary(gateway, HUB, f"{names['name']}-short", "sts:AssumeRole")
        hub.deploy(reading_hub(), **given, PermissionsBoundaryArn=short)
        assert "not authorized to perform: sts:AssumeRole" in read()["error"]


def test_serverless_target_works_below_the_path_and_the_boundary(gateway: Gateway) -> None:
    limit = boundary(gateway, TARGET, "gw-roles-target")
    secret = f"arn:aws:secretsmanager:{REGION}:{TARGET}:secret:monitor-abcdef"
    with KitStack(gateway, "gw-roles-target", "copy-target") as stack:
        stack.made(SourceAccounts=SOURCE, SourceBuckets="gw-kit-one", WorkgroupName="etl",
                   NamespaceArn=f"arn:aws:redshift-serverless:{REGION}:{TARGET}:namespace/n", MonitorDatabase="dev", MonitorSecretArn=secret,
                   AlertTopicArn=f"arn:aws:sns:{REGION}:{TARGET}:alerts", RolePath=PATH, PermissionsBoundaryArn=limit)
        assert len(roles(gateway, stack)) == 5 and set(roles(gateway, stack).values()) == {(PATH, limit)}
        copy = gateway.client("iam").get_role(RoleName=stack.physical("CopyRole"))["Role"]["Arn"]
        assert copy.startswith(f"arn:aws:iam::{TARGET}:role{PATH}")
        passes = [one for one in stack.policy("WarehouseRoleRole") if one["Sid"] == "PassRolesToServerless"]
        assert [one["Resource"] for one in passes] == [[copy]]


def test_read_role_moves_to_another_path_in_two_updates(gateway: Gateway) -> None:
    account = "888888888888"
    given = {"HubBusArn": f"arn:aws:events:{REGION}:{HUB}:event-bus/gw-kit", "ReaderRoleArns": f"arn:aws:iam::{HUB}:role/reader"}
    with KitStack(gateway, "gw-roles-moved", "alerts-spoke", account) as stack:
        stack.made(**given)
        assert stack.deploy(**given, RolePath=PATH)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert any("custom-named resource requires replacing" in one for one in stack.failures())
        stack.made(**given, ReadRole="existing")
        stack.made(**given, RolePath=PATH)
        assert roles(gateway, stack)["sluice-alerts-read"] == (PATH, "")
