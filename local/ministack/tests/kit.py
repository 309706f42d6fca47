"""The kit's templates in tests, with functions in Python in place of the compiled ones.

A function of a template answers a custom resource with SUCCESS and with the attributes that the
templates read; everything else of the template is deployed as it is.
"""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from conftest import TARGET, Gateway
from stacks import Stack

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / "templates"
NAMES = sorted(path.stem for path in TEMPLATES.glob("*.yaml"))

ANSWER = """
import json, urllib.request
def handler(event, context):
    print("handled")
    if "ResponseURL" not in event:
        return {}
    given = event["ResourceProperties"]
    data = {"BucketName": given.get("BucketName"), "RoleArn": given.get("RoleArn"), "Status": "active", "IntegrationArn": "arn:aws:redshift:x",
            "NamespaceArn": "arn:aws:redshift:us-east-1:222222222222:namespace:n", "Host": "h", "Port": "5439", "JdbcUrl": "jdbc:redshift://h",
            "JobName": given.get("JobName"), "JobId": "1", "Prefix": "s3://b/p"}
    body = json.dumps({"Status": "SUCCESS", "PhysicalResourceId": event.get("PhysicalResourceId", "made"), "StackId": event["StackId"],
                       "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"], "Data": data}).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, {"Content-Type": ""}, method="PUT"))
"""


class Loader(yaml.SafeLoader):
    """A template with CloudFormation's short forms as their long ones."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    value = (loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else
             loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node, deep=True))
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short)


@lru_cache
def source(name: str) -> dict[str, Any]:
    """A template as it is written; not to be changed."""
    read: dict[str, Any] = yaml.load((TEMPLATES / f"{name}.yaml").read_text(), Loader)
    return read


def template(name: str) -> dict[str, Any]:
    """A template whose functions are in Python."""
    read = copy.deepcopy(source(name))
    for one in read["Resources"].values():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::Serverless::Function":
            properties.pop("CodeUri")
            properties |= {"InlineCode": ANSWER, "Runtime": "python3.11", "Handler": "index.handler"}
        elif one["Type"] == "AWS::Serverless::StateMachine":
            definition = (TEMPLATES / properties.pop("DefinitionUri")).resolve()
            properties["Definition"] = json.loads(definition.read_text())
    return read


def key(gateway: Gateway, account: str = TARGET) -> str:
    """A customer managed key whose account decides by IAM."""
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}]}
    arn: str = gateway.client("kms", account).create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    return arn


class KitStack(Stack):
    """A stack of one of the kit's templates."""

    def __init__(self, gateway: Gateway, name: str, kind: str, account: str = TARGET) -> None:
        super().__init__(gateway, name, account)
        self.gateway, self.kind, self.account = gateway, kind, account

    def deploy(self, changed: dict[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
        """Create or update the stack; the template is uploaded, because most are too long for a
        request.
        """
        s3 = self.gateway.client("s3", self.account)
        bucket = f"gw-kit-{self.account}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=self.name, Body=json.dumps(changed or template(self.kind)).encode())
        words = {"StackName": self.name, "TemplateURL": f"{self.gateway.url}/{bucket}/{self.name}",
                 "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
                 "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]}
        there = self.describe()["StackStatus"] != "DELETE_COMPLETE"
        (self.client.update_stack if there else self.client.create_stack)(**words)
        return self.settled()

    def made(self, **parameters: str) -> dict[str, Any]:
        """Deploy, and require that it succeeded."""
        found = self.deploy(**parameters)
        assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self.failures()
        return found

    def failures(self) -> list[str]:
        return [f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}" for one in
                self.client.describe_stack_events(StackName=self.name)["StackEvents"] if one["ResourceStatus"].endswith("_FAILED")]

    def physical(self, logical_id: str) -> str:
        found: str = self.client.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)[
            "StackResourceDetail"]["PhysicalResourceId"]
        return found

    def policy(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role's own policies."""
        iam, name = self.gateway.client("iam", self.account), self.physical(role)
        found: list[dict[str, Any]] = []
        for one in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            found += iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]["Statement"]
        return found
