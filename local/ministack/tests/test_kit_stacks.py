"""The templates of the copy and of the alerts with every key, and what follows from their defaults."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, SOURCE, TARGET, Gateway, until
from kit import KitStack, key
from stub_redshift import StubRedshift

HUB = "333333333333"
NAMESPACE = f"arn:aws:redshift:{REGION}:{TARGET}:namespace:11111111-2222-3333-4444-555555555555"


def granted(statements: list[dict[str, Any]], arn: str) -> set[str]:
    """The actions that statements allow on one resource."""
    found: set[str] = set()
    for one in statements:
        resources = [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"]
        if arn in resources:
            found |= {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"])
    return found


def statement(statements: list[dict[str, Any]], sid: str) -> dict[str, Any]:
    return next(one for one in statements if one["Sid"] == sid)


# --- The warehouse ---


@pytest.fixture
def place(gateway: Gateway) -> dict[str, str]:
    """A VPC and its subnets."""
    ec2 = gateway.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.11.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.11.{number}.0/24")["Subnet"]["SubnetId"] for number in range(3)]
    return {"VpcId": vpc, "SubnetIds": ",".join(subnets)}


@pytest.mark.parametrize("kind", ["provisioned", "serverless"])
def test_warehouse_makes_its_audit_logs_first_and_uses_every_key(
        gateway: Gateway, redshift: StubRedshift, place: dict[str, str], kind: str) -> None:
    data, logs, secret, environment = (key(gateway) for _ in range(4))
    with KitStack(gateway, f"gw-kit-{kind}", "warehouse") as stack:
        stack.made(**place, Kind=kind, KeyArn=data, AuditLogKeyArn=logs, AuditLogRetentionDays="90", AdminSecretKeyArn=secret,
                   EnvironmentKeyArn=environment)
        outputs = stack.outputs()
        name = stack.physical("Cluster" if kind == "provisioned" else "Namespace")
        prefix = f"/aws/redshift/{'cluster/' if kind == 'provisioned' else ''}{name}/"
        groups = gateway.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
        assert sorted((one["logGroupName"], one["retentionInDays"], one["kmsKeyId"]) for one in groups) == [
            (f"{prefix}{log}", 90, logs) for log in ("connectionlog", "useractivitylog", "userlog")]
        if kind == "provisioned":
            request = next(one["request"] for one in redshift.requests if one["action"] == "EnableLogging"
                           and one["request"]["ClusterIdentifier"] == name)
            assert [request[f"LogExports.member.{number}"] for number in (1, 2, 3)] == ["connectionlog", "userlog", "useractivitylog"]
            assert redshift.clusters[name]["KmsKeyId"] == data
        else:
            made = redshift.things["namespace", name]
            assert (made["logExports"], made["kmsKeyId"]) == (["connectionlog", "userlog", "useractivitylog"], data)
        secrets = gateway.client("secretsmanager")
        assert secrets.describe_secret(SecretId=outputs["SecretArn"])["KmsKeyId"] == outputs["SecretKeyArn"] == secret
        assert outputs["RotationParameters"].startswith(f"SecretArn={outputs['SecretArn']} RedshiftChange=control-plane ")
        statements = stack.policy("SecretEndpointRole")
        assert granted(statements, secret) == {"kms:Decrypt", "kms:GenerateDataKey"}
        assert granted(statements, environment) == {"kms:Decrypt"}
        config = gateway.client("lambda").get_function_configuration(FunctionName=stack.physical("SecretEndpointFunction"))
        assert config["KMSKeyArn"] == environment


def test_warehouse_without_audit_logs_has_no_log_groups_for_them(gateway: Gateway, place: dict[str, str]) -> None:
    with KitStack(gateway, "gw-kit-no-audit", "warehouse") as stack:
        stack.made(**place, AuditLogs="false")
        assert not gateway.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/redshift/cluster/{stack.physical('Cluster')}")["logGroups"]


def clients(gateway: Gateway, vpc: str) -> str:
    """A security group of SQL clients."""
    found: str = gateway.client("ec2").create_security_group(GroupName="gw-clients", Description="d", VpcId=vpc)["GroupId"]
    return found


def test_cluster_gets_the_value_of_every_parameter(gateway: Gateway, redshift: StubRedshift, place: dict[str, str]) -> None:
    given = {"DatabaseName": "sales", "AdminUsername": "chief", "Port": "5440", "NodeType": "ra3.4xlarge", "NumberOfNodes": "2",
             "SnapshotRetentionDays": "14", "MaintenanceWindow": "sat:22:00-sat:23:00", "EnhancedVpcRouting": "false"}
    group = clients(gateway, place["VpcId"])
    with KitStack(gateway, "gw-kit-values", "warehouse") as stack:
        stack.made(**place, **given, ClientSecurityGroupId=group)
        made = redshift.clusters[stack.physical("Cluster")]
        wanted = {"DBName": "sales", "MasterUsername": "chief", "Port": "5440", "NodeType": "ra3.4xlarge", "NumberOfNodes": "2",
                  "ClusterType": "multi-node", "AutomatedSnapshotRetentionPeriod": "14",
                  "PreferredMaintenanceWindow": "sat:22:00-sat:23:00", "EnhancedVpcRouting": "false", "PubliclyAccessible": "false"}
        assert {name: made[name] for name in wanted} == wanted
        admitted = gateway.client("ec2").describe_security_groups(GroupIds=[stack.physical("WarehouseSecurityGroup")])["SecurityGroups"][0]
        assert [(one["FromPort"], one["ToPort"], [pair["GroupId"] for pair in one["UserIdGroupPairs"]]) for one in admitted["IpPermissions"]] == [
            (5440, 5440, [group])]
        value = json.loads(gateway.client("secretsmanager").get_secret_value(SecretId=stack.outputs()["SecretArn"])["SecretString"])
        assert (value["username"], value["password"]) == ("chief", made["MasterUserPassword"])


def test_workgroup_gets_the_value_of_every_parameter(gateway: Gateway, redshift: StubRedshift, place: dict[str, str]) -> None:
    with KitStack(gateway, "gw-kit-workgroup", "warehouse") as stack:
        stack.made(**place, Kind="serverless", DatabaseName="sales", AdminUsername="chief", Port="5440", BaseCapacity="16", MaxCapacity="64",
                   EnhancedVpcRouting="false")
        namespace = redshift.things["namespace", stack.physical("Namespace")]
        assert (namespace["dbName"], namespace["adminUsername"]) == ("sales", "chief")
        group = redshift.things["workgroup", stack.physical("Workgroup")]
        assert [str(group[name]).lower() for name in ("port", "baseCapacity", "maxCapacity", "enhancedVpcRouting", "publiclyAccessible")] == [
            "5440", "16", "64", "false", "false"]


# --- The target ---

SERVERLESS = f"arn:aws:redshift-serverless:{REGION}:{TARGET}:namespace/n"


def target(**more: str) -> dict[str, str]:
    return {"SourceAccounts": SOURCE, "SourceBuckets": "gw-kit-one,gw-kit-two", **more}


def test_serverless_target_may_pass_every_role_of_the_namespace_without_a_condition(gateway: Gateway) -> None:
    others = [f"arn:aws:iam::{TARGET}:role/{name}" for name in ("unload", "service-role/spectrum")]
    with KitStack(gateway, "gw-kit-passes", "copy-target") as stack:
        stack.made(**target(WorkgroupName="etl", NamespaceArn=SERVERLESS))
        copy = gateway.client("iam").get_role(RoleName=stack.physical("CopyRole"))["Role"]["Arn"]
        found = statement(stack.policy("WarehouseRoleRole"), "PassRolesToServerless")
        assert (found["Resource"], "Condition" in found) == ([copy], False)
        stack.made(**target(WorkgroupName="etl", NamespaceArn=SERVERLESS, OtherRoleArns=",".join(others)))
        assert statement(stack.policy("WarehouseRoleRole"), "PassRolesToServerless")["Resource"] == [copy, *others]


def test_serverless_target_without_its_namespace_is_refused(gateway: Gateway) -> None:
    with KitStack(gateway, "gw-kit-no-namespace", "copy-target") as stack, pytest.raises(ClientError, match="Give NamespaceArn too"):
        stack.deploy(**target(WorkgroupName="etl"))


def test_target_of_a_cluster_passes_its_role_to_redshift_only(gateway: Gateway) -> None:
    with KitStack(gateway, "gw-kit-passes-one", "copy-target") as stack:
        stack.made(**target(ClusterIdentifier="etl"))
        found = [one for one in stack.policy("WarehouseRoleRole") if "iam:PassRole" in one["Action"]]
        assert [one["Condition"] for one in found] == [{"StringEquals": {"iam:PassedToService": "redshift.amazonaws.com"}}]
        with pytest.raises(ClientError, match="OtherRoleArns is about a Serverless namespace"):
            stack.deploy(**target(ClusterIdentifier="etl", OtherRoleArns=f"arn:aws:iam::{TARGET}:role/unload"))


def monitored(gateway: Gateway, **more: str) -> dict[str, str]:
    secret = f"arn:aws:secretsmanager:{REGION}:{TARGET}:secret:monitor-abcdef"
    return target(ClusterIdentifier="etl", AlertTopicArn=f"arn:aws:sns:{REGION}:{TARGET}:alerts", MonitorDatabase="dev",
                  MonitorSecretArn=secret, **more)


def test_target_grants_every_key_that_is_given(gateway: Gateway) -> None:
    wait, topic, reader, environment = (key(gateway) for _ in range(4))
    sources = [key(gateway, SOURCE) for _ in range(2)]
    with KitStack(gateway, "gw-kit-keys", "copy-target") as stack:
        stack.made(**monitored(gateway, WaitKeyArn=wait, AlertTopicKeyArn=topic, MonitorSecretKeyArn=reader, EnvironmentKeyArn=environment,
                               SourceKeyArns=",".join(sources)))
        for arn in sources:
            assert granted(stack.policy("CopyRole"), arn) == {"kms:Decrypt"}
        assert statement(stack.policy("CopyRole"), "DecryptSourceObjects")["Condition"] == {
            "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
        assert granted(stack.policy("WarehouseRoleRole"), wait) == {"kms:Encrypt", "kms:Decrypt"}
        assert granted(stack.policy("MonitorRole"), topic) == {"kms:Decrypt", "kms:GenerateDataKey"}
        assert granted(stack.policy("MonitorRole"), reader) == {"kms:Decrypt"}
        for role, function in (("WarehouseRoleRole", "WarehouseRoleFunction"), ("ResourcePolicyRole", "ResourcePolicyFunction"),
                               ("MonitorRole", "MonitorFunction")):
            assert granted(stack.policy(role), environment) == {"kms:Decrypt"}
            assert gateway.client("lambda").get_function_configuration(FunctionName=stack.physical(function))["KMSKeyArn"] == environment


# --- The source ---


def test_source_under_keys_is_encrypted_and_grants_each_of_them(gateway: Gateway) -> None:
    bucket, integration, wait, environment = (key(gateway, SOURCE) for _ in range(4))
    with KitStack(gateway, "gw-kit-source", "copy-source", SOURCE) as stack:
        stack.made(BucketName="gw-kit-source", CreateBucket="true", BucketKeyArn=bucket, TargetNamespaceArn=NAMESPACE,
                   CopyRoleArn=f"arn:aws:iam::{TARGET}:role/copy", IntegrationKeyArn=integration, WaitKeyArn=wait, EnvironmentKeyArn=environment)
        rule = gateway.client("s3", SOURCE).get_bucket_encryption(Bucket="gw-kit-source")["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": bucket}
        statements = stack.policy("EventIntegrationRole")
        assert granted(statements, integration) == {"kms:CreateGrant", "kms:DescribeKey"}
        assert granted(statements, wait) == {"kms:Encrypt", "kms:Decrypt"}
        assert statement(statements, "ListIntegrations")["Resource"] == "*"
        for role in ("EventIntegrationRole", "BucketPolicyRole"):
            assert granted(stack.policy(role), environment) == {"kms:Decrypt"}


# --- The job ---


def test_job_may_decrypt_the_secret_of_its_user(gateway: Gateway) -> None:
    secret, environment = key(gateway), key(gateway)
    arn = f"arn:aws:secretsmanager:{REGION}:{TARGET}:secret:owner-abcdef"
    with KitStack(gateway, "gw-kit-job", "copy-job") as stack:
        stack.made(ClusterIdentifier="etl", Database="dev", WarehouseSecretArn=arn, WarehouseSecretKeyArn=secret, EnvironmentKeyArn=environment,
                   JobName="orders", TableName="orders", SourceBucket="gw-kit-source", SourcePrefix="in/", CopyRoleArn=f"arn:aws:iam::{TARGET}:role/copy")
        assert granted(stack.policy("CopyJobRole"), secret) == {"kms:Decrypt"}
        assert granted(stack.policy("CopyJobRole"), environment) == {"kms:Decrypt"}


# --- Alarms ---


class Alarms:
    """The alarms of an account, and time for them."""

    def __init__(self, gateway: Gateway, account: str) -> None:
        self.gateway, self.client = gateway, gateway.client("cloudwatch", account)
        # The start of a day, so that no period of an alarm ends between two runs of a test.
        self.start = time.time() // 86400 * 86400 + 86400

    def states(self, after: float) -> dict[str, str]:
        """The states after an evaluation that many seconds later."""
        for _ in range(2):
            assert self.gateway.call("POST", "tick", {"at": self.start + after}) == (200, {})
        found = self.client.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {one["AlarmName"]: one["StateValue"] for one in [*found["MetricAlarms"], *found["CompositeAlarms"]]}

    def put(self, namespace: str, name: str, after: float = 0, value: float = 1, **dimensions: str) -> None:
        self.client.put_metric_data(Namespace=namespace, MetricData=[{
            "MetricName": name, "Value": value, "Timestamp": datetime.fromtimestamp(self.start + after, UTC), "Dimensions": [{"Name": one, "Value": words} for one, words in dimensions.items()]}])


def test_new_hub_has_no_alarm_and_silence_after_the_first_run_raises_one(gateway: Gateway) -> None:
    with KitStack(gateway, "gw-kit-hub", "alerts-hub", HUB) as stack:
        stack.made(SpokeAccounts=SOURCE, BusName="gw-kit")
        alarms = Alarms(gateway, HUB)

        def raised(after: float) -> list[str]:
            """The stack's alarms; other tests have theirs in the same account."""
            return [name for name, state in alarms.states(after).items() if state == "ALARM" and name.startswith("gw-kit-hub-")]

        assert len([name for name in alarms.states(60) if name.startswith("gw-kit-hub-")]) > 8
        assert raised(60) == []
        names = {name: stack.physical(f"{name}NotRunningAlarm") for name in ("Sweep", "DeadLetterCheck", "SecretCheck")}

        def run(at: float) -> None:
            for function in ("FailureFunction", "DeadLetterFunction"):
                alarms.put("Sluice/Alerts", "EventsReceived", at, Function=stack.physical(function))
            alarms.put("AWS/Lambda", "Invocations", at, FunctionName=stack.physical("SecretsFunction"))
            alarms.put("Sluice/Secrets", "SecretChecks", at)

        # After one run nothing tells silence from a schedule that has not come round again.
        run(100)
        assert raised(12 * 3600) == []
        run(13 * 3600)
        run(13 * 3600 + 300)
        # A period counts when it is over: a quarter of an hour, and three hours of the secret check.
        running = [alarms.states(13 * 3600 + after) for after in (1200, 3 * 3600 + 900)]
        assert {running[0][one] for one in names.values()} == {"OK"}
        assert {name: running[1][one] for name, one in names.items()} == {"Sweep": "ALARM", "DeadLetterCheck": "ALARM", "SecretCheck": "OK"}
        silent = alarms.states(40 * 3600)
        assert {silent[one] for one in names.values()} == {"ALARM"}
        assert silent[stack.physical("AlertingUnhealthyAlarm")] == "ALARM"


def test_new_copy_monitor_has_no_alarm_and_silence_after_a_run_raises_one(gateway: Gateway) -> None:
    with KitStack(gateway, "gw-kit-monitor", "copy-target") as stack:
        stack.made(**monitored(gateway))
        alarms, name = Alarms(gateway, TARGET), stack.physical("MonitorNotRunningAlarm")
        ours = {one for one in alarms.states(60) if one.startswith("gw-kit-monitor-")}
        assert len(ours) == 4
        assert not [one for one, state in alarms.states(60).items() if one in ours and state == "ALARM"]
        alarms.put("Sluice/Copy", "CopyRuns", 100, Warehouse="etl")
        assert alarms.states(10 * 3600)[name] == "OK"
        for after in (100, 1000):
            alarms.put("Sluice/Copy", "CopyRuns", 12 * 3600 + after, Warehouse="etl")
        assert alarms.states(12 * 3600 + 2800)[name] == "OK"
        assert alarms.states(20 * 3600)[name] == "ALARM"


def test_runs_of_the_secret_check_without_any_account_raise_an_alarm(gateway: Gateway) -> None:
    with KitStack(gateway, "gw-kit-hub-zero", "alerts-hub", "444444444444") as stack:
        stack.made(SpokeAccounts=SOURCE, BusName="gw-kit-zero")
        alarms = Alarms(gateway, "444444444444")
        alarms.put("Sluice/Secrets", "SecretChecks", value=0)
        assert alarms.states(3700)[stack.physical("SecretCheckNotRunningAlarm")] == "ALARM"


def test_spoke_with_the_defaults_counts_denied_calls_of_its_own_trail(gateway: Gateway) -> None:
    account = "555555555555"
    with KitStack(gateway, "gw-kit-spoke", "alerts-spoke", account) as stack:
        stack.made(HubBusArn=f"arn:aws:events:{REGION}:{HUB}:event-bus/gw-kit", ReaderRoleArns=f"arn:aws:iam::{HUB}:role/reader")
        group = stack.physical("TrailLogs")
        trail = gateway.client("cloudtrail", account).describe_trails()["trailList"][0]
        assert f":log-group:{group}:" in trail["CloudWatchLogsLogGroupArn"]
        assert gateway.client("logs", account).describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 7
        denied = gateway.as_role("secretsmanager", gateway.role("gw-kit-denied", [], account))
        for _ in range(11):
            with pytest.raises(ClientError, match="AccessDenied"):
                denied.get_secret_value(SecretId="gw-any")
        alarms = Alarms(gateway, account)
        until(lambda: alarms.states(time.time() - alarms.start).get(stack.physical("DeniedSecretCallsAlarm")) == "ALARM", "the alarm on denied calls")
        assert stack.physical("SecretReadsAlarm")


@pytest.mark.parametrize(("given", "alarms"), [({"TrailLogGroupName": "gw-kit-other"}, True), ({"Trail": "existing"}, False)])
def test_spoke_makes_no_log_group_that_nobody_counts(gateway: Gateway, given: dict[str, str], alarms: bool) -> None:
    account = f"66666666666{int(alarms)}"
    gateway.client("logs", account).create_log_group(logGroupName="gw-kit-other")
    with KitStack(gateway, "gw-kit-spoke-less", "alerts-spoke", account) as stack:
        stack.made(HubBusArn=f"arn:aws:events:{REGION}:{HUB}:event-bus/gw-kit", ReaderRoleArns=f"arn:aws:iam::{HUB}:role/reader", **given)
        there = {one["LogicalResourceId"] for one in stack.client.describe_stack_resources(StackName=stack.name)["StackResources"]}
        assert "TrailLogs" not in there and ("DeniedSecretCallsAlarm" in there) == alarms


def test_every_template_under_one_environment_key(gateway: Gateway) -> None:
    arn = key(gateway, HUB)
    with KitStack(gateway, "gw-kit-hub-key", "alerts-hub", HUB) as stack:
        stack.made(SpokeAccounts=SOURCE, BusName="gw-kit-key", EnvironmentKeyArn=arn)
        for name in ("Rotation", "Failure", "Access", "DeadLetter", "Secrets"):
            assert granted(stack.policy(f"{name}Role"), arn) == {"kms:Decrypt"}
            config = gateway.client("lambda", HUB).get_function_configuration(FunctionName=stack.physical(f"{name}Function"))
            assert (config["KMSKeyArn"], json.loads(json.dumps(config["Environment"]))["Variables"]["TOPIC_ARN"]) == (
                arn, stack.outputs()["TopicArn"])
