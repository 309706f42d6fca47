"""Wrong requests, one for each kind of mistake and each protocol, for ``test_contracts``.

Names and values are drawn with a seed, so that a check cannot know them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

SEED = 4711


@dataclass(frozen=True)
class Planted:
    """A wrong request, and what the check must say about it."""

    name: str
    service: str
    operation: str
    member: str
    found: str
    expected: str
    signing: str
    body: str = ""
    method: str = "POST"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)


def planted(seed: int = SEED) -> list[Planted]:
    """All of them."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choice("abcdefghjkmnpqrstuvwxyz") for _ in range(9))

    def arn(service: str, resource: str) -> str:
        return f"arn:aws:{service}:us-east-1:222222222222:{resource}"

    def of_json(name: str, service: str, operation: str, request: dict[str, Any], says: tuple[str, str, str], **other: str) -> Planted:
        target, version, signing = {"redshift-serverless": ("RedshiftServerless", "1.1", "redshift-serverless"),
                                    "redshift-data": ("RedshiftData", "1.1", "redshift-data"),
                                    "secretsmanager": ("secretsmanager", "1.1", "secretsmanager"),
                                    "dynamodb": ("DynamoDB_20120810", "1.0", "dynamodb"), "sqs": ("AmazonSQS", "1.0", "sqs"),
                                    "kms": ("TrentService", "1.1", "kms"), "stepfunctions": ("AWSStepFunctions", "1.0", "states")}[service]
        headers = {"Content-Type": f"application/x-amz-json-{other.get('version', version)}", "X-Amz-Target": f"{target}.{operation}"}
        return Planted(name, service, operation, *says, signing, json.dumps(request), headers=headers)

    def of_form(name: str, service: str, operation: str, version: str, form: dict[str, str], says: tuple[str, str, str]) -> Planted:
        body = urlencode({"Action": operation, "Version": version, **form})
        return Planted(name, service, operation, *says, service, body, headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})

    def of_rest(name: str, service: str, operation: str, request: tuple[str, str, str], says: tuple[str, str, str]) -> Planted:
        method, path, body = request
        headers = {"Content-Type": "application/json"} if body and service != "s3" else {}
        return Planted(name, service, operation, *says, service, body, method, path, headers)

    namespace, bucket = word(), word()
    role = f"arn:aws:iam::222222222222:role/{word()}"
    statement = {"Sql": f"SELECT '{word()}'", "Database": word()}
    return [
        of_json("a password without its user", "redshift-serverless", "UpdateNamespace",
                {"namespaceName": namespace, "adminUserPassword": word().title() + "1"},
                ("adminUserPassword", "it without adminUsername", "adminUsername and adminUserPassword together, or none of them")),
        of_json("roles without the default role", "redshift-serverless", "UpdateNamespace",
                {"namespaceName": namespace, "iamRoles": [role]},
                ("iamRoles", "it without defaultIamRoleArn", "iamRoles and defaultIamRoleArn together, or none of them")),
        of_json("a cluster and a workgroup", "redshift-data", "ExecuteStatement", {**statement, "ClusterIdentifier": word(), "WorkgroupName": word()},
                ("WorkgroupName", "ClusterIdentifier and WorkgroupName", "only one of them")),
        of_json("a database user and a secret", "redshift-data", "BatchExecuteStatement",
                {"Sqls": [statement["Sql"]], "Database": word(), "ClusterIdentifier": word(), "DbUser": word(), "SecretArn": word()},
                ("SecretArn", "DbUser and SecretArn", "only one of them")),
        of_json("a text for true", "redshift-data", "ExecuteStatement", {**statement, "ClusterIdentifier": word(), "WithEvent": "true"},
                ("WithEvent", "a text", "true or false")),
        of_json("an unknown member", "secretsmanager", "PutSecretValue",
                {"SecretId": word(), "SecretString": word(), "ClientRequestToken": word() * 4, "VersionStage": "AWSPENDING"},
                ("VersionStage", "an unknown member", "one of ClientRequestToken, RotationToken, SecretBinary")),
        of_json("a missing member", "secretsmanager", "UpdateSecretVersionStage", {"SecretId": word(), "MoveToVersionId": word() * 4},
                ("VersionStage", "nothing", "a value, because the member is required")),
        of_json("a token that is too short", "secretsmanager", "PutSecretValue",
                {"SecretId": word(), "SecretString": word(), "ClientRequestToken": word()},
                ("ClientRequestToken", "9 characters", "at least 32 characters")),
        of_json("an attribute with two types", "dynamodb", "GetItem", {"TableName": word(), "Key": {"pk": {"S": word(), "N": "1"}}},
                ("Key.pk", "2 members of a union (S, N)", "exactly one")),
        of_json("a number out of its range", "sqs", "ReceiveMessage",
                {"QueueUrl": f"http://127.0.0.1/222222222222/{word()}", "MaxNumberOfMessages": draw.randint(11, 99)},
                ("MaxNumberOfMessages", "", "at most 10")),
        of_json("bytes that are not Base64", "kms", "Decrypt", {"CiphertextBlob": word() + "!"},
                ("CiphertextBlob", "a text that is not Base64", "bytes in Base64")),
        of_json("another version of JSON", "stepfunctions", "StartExecution",
                {"stateMachineArn": arn("states", f"stateMachine:{word()}"), "input": "{}"},
                ("the header Content-Type", "'application/x-amz-json-1.1'", "application/x-amz-json-1.0"), version="1.1"),
        of_json("an operation that is none", "redshift-data", "ExecuteStatements", statement,
                ("the operation", "'ExecuteStatements'", "an operation of the service")),
        of_form("a subject with a line break", "sns", "Publish", "2010-03-31",
                {"TopicArn": arn("sns", word()), "Message": word(), "Subject": f"{word()}\n{word()}"},
                ("Subject", "a text of 19 characters", "a text that matches")),
        of_form("a name that does not match its pattern", "redshift", "CreateIntegration", "2012-12-01",
                {"SourceArn": f"arn:aws:s3:::{bucket}", "TargetArn": arn("redshift", f"namespace:{word()}"), "IntegrationName": f"1-{namespace}"},
                ("IntegrationName", f"'1-{namespace}'", "a text that matches ^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$")),
        of_form("items under another name", "redshift", "ModifyClusterIamRoles", "2012-12-01",
                {"ClusterIdentifier": word(), "AddIamRoles.member.1": role},
                ("AddIamRoles", "member", "items IamRoleArn.1, IamRoleArn.2 and so on")),
        of_form("an unknown enum value", "elasticache", "ModifyReplicationGroup", "2015-02-02",
                {"ReplicationGroupId": word(), "AuthToken": word() * 2, "AuthTokenUpdateStrategy": "REPLACE", "ApplyImmediately": "true"},
                ("AuthTokenUpdateStrategy", "'REPLACE'", "one of DELETE, ROTATE, SET")),
        of_form("another version of the API", "sts", "AssumeRole", "2011-06-16", {"RoleArn": role, "RoleSessionName": word()},
                ("Version", "'2011-06-16'", "2011-06-15")),
        of_rest("an element that the configuration does not have", "s3", "PutBucketNotificationConfiguration",
                ("PUT", f"/{bucket}?notification", "<NotificationConfiguration><QueueConfiguration><Queue>"
                 f"{arn('sqs', word())}</Queue><Event>s3:ObjectCreated:*</Event><Prefix>{word()}</Prefix>"
                 "</QueueConfiguration></NotificationConfiguration>"),
                ("NotificationConfiguration.QueueConfigurations[0].Prefix", "an unknown member", "one of Events, Filter, Id, QueueArn")),
        of_rest("a text for a number in an address", "s3", "ListObjectsV2", ("GET", f"/{bucket}?list-type=2&max-keys={word()}", ""),
                ("MaxKeys", "a text", "a number")),
        of_rest("a parameter that the operation does not have", "s3", "GetBucketPolicy", ("GET", f"/{bucket}?policy&prefix={word()}", ""),
                ("prefix", "an unknown parameter of the address", "one of policy")),
        of_rest("too many results", "kafka", "ListScramSecrets",
                ("GET", f"/v1/clusters/{arn('kafka', f'cluster%2F{word()}%2F1')}/scram-secrets?maxResults=101", ""),
                ("MaxResults", "101", "at most 100")),
        of_rest("a missing member of an object", "scheduler", "CreateSchedule",
                ("POST", f"/schedules/{word()}", json.dumps({
                    "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": {"Arn": arn("sqs", word())}})),
                ("Target.RoleArn", "nothing", "a value, because the member is required")),
    ]
