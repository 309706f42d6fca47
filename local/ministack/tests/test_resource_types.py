"""CloudFormation types that the extension adds or corrects."""

from __future__ import annotations

import json

from conftest import TARGET, Gateway
from stacks import Stack
from stub_redshift import StubRedshift

WAREHOUSE = {
    "Resources": {
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {
            "SecretStringTemplate": '{"username":"admin"}', "GenerateStringKey": "password", "PasswordLength": 32,
            "ExcludePunctuation": True}}},
        "Policy": {"Type": "AWS::SecretsManager::ResourcePolicy", "Properties": {"SecretId": {"Ref": "Secret"}, "ResourcePolicy": {
            "Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret",
                                                    "Resource": "*"}]}}},
        "Subnets": {"Type": "AWS::Redshift::ClusterSubnetGroup", "Properties": {"Description": "d", "SubnetIds": ["subnet-1", "subnet-2"]}},
        "Parameters": {"Type": "AWS::Redshift::ClusterParameterGroup", "Properties": {
            "Description": "d", "ParameterGroupFamily": "redshift-2.0",
            "Parameters": [{"ParameterName": "require_ssl", "ParameterValue": "true"}]}},
        "Cluster": {"Type": "AWS::Redshift::Cluster", "Properties": {
            "ClusterIdentifier": "gw-stack", "ClusterType": "single-node", "NodeType": "ra3.large", "DBName": "dev",
            "MasterUsername": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}::username}}"},
            "MasterUserPassword": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}::password}}"},
            "ClusterSubnetGroupName": {"Ref": "Subnets"}, "ClusterParameterGroupName": {"Ref": "Parameters"},
            "IamRoles": [f"arn:aws:iam::{TARGET}:role/copy"], "Encrypted": True, "Tags": [{"Key": "team", "Value": "x"}]}},
        "Attachment": {"Type": "AWS::SecretsManager::SecretTargetAttachment", "Properties": {
            "SecretId": {"Ref": "Secret"}, "TargetId": {"Ref": "Cluster"}, "TargetType": "AWS::Redshift::Cluster"}},
        "Schedule": {"Type": "AWS::SecretsManager::RotationSchedule", "DependsOn": "Attachment", "Properties": {
            "SecretId": {"Ref": "Secret"}, "RotationRules": {"ScheduleExpression": "rate(30 days)"}}},
    },
    "Outputs": {
        "Secret": {"Value": {"Ref": "Secret"}},
        "Host": {"Value": {"Fn::GetAtt": ["Cluster", "Endpoint.Address"]}},
        "Port": {"Value": {"Fn::GetAtt": ["Cluster", "Endpoint.Port"]}},
        "Namespace": {"Value": {"Fn::GetAtt": ["Cluster", "ClusterNamespaceArn"]}},
    },
}


def test_warehouse_stack_is_created_and_deleted_completely(
        gateway: Gateway, redshift: StubRedshift) -> None:
    with Stack(gateway, "gw-warehouse") as stack:
        assert stack.create(WAREHOUSE)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        outputs = stack.outputs()
        assert outputs["Secret"].startswith(f"arn:aws:secretsmanager:us-east-1:{TARGET}:secret:")
        assert (outputs["Host"], outputs["Port"]) == ("gw-stack.local", "5439")
        assert outputs["Namespace"] == redshift.clusters["gw-stack"]["_namespace"]
        value = json.loads(gateway.client("secretsmanager").get_secret_value(SecretId=outputs["Secret"])["SecretString"])
        made = redshift.clusters["gw-stack"]
        assert (made["MasterUsername"], made["MasterUserPassword"]) == ("admin", value["password"])
        assert value["password"].isalnum() and len(value["password"]) == 32
        assert (value["engine"], value["host"], value["port"], value["dbname"]) == ("redshift", "gw-stack.local", 5439, "dev")
        assert made["IamRoles.IamRoleArn.1"] == f"arn:aws:iam::{TARGET}:role/copy"
        assert made["Tags.Tag.1.Key"] == "team"
        assert made["Encrypted"] == "true"
        assert made["ClusterSubnetGroupName"] in redshift.groups and made["ClusterParameterGroupName"] in redshift.groups
        described = gateway.client("secretsmanager").describe_secret(SecretId=outputs["Secret"])
        assert described["RotationRules"]["ScheduleExpression"] == "rate(30 days)"
        assert "DeleteSecret" in gateway.client("secretsmanager").get_resource_policy(SecretId=outputs["Secret"])["ResourcePolicy"]
        groups = {made["ClusterSubnetGroupName"], made["ClusterParameterGroupName"]}
        assert stack.delete() == "DELETE_COMPLETE"
    assert "gw-stack" not in redshift.clusters
    assert not groups & set(redshift.groups)


def test_changed_cluster_name_replaces_the_cluster(
        gateway: Gateway, redshift: StubRedshift) -> None:
    def template(name: str) -> dict[str, object]:
        return {"Resources": {"Cluster": {"Type": "AWS::Redshift::Cluster", "Properties": {
            "ClusterIdentifier": name, "ClusterType": "single-node", "NodeType": "ra3.large", "DBName": "dev",
            "MasterUsername": "admin", "MasterUserPassword": "Password1"}}}}

    with Stack(gateway, "gw-replace") as stack:
        stack.create(template("gw-before"))
        assert stack.update(template("gw-after"))["StackStatus"] == "UPDATE_COMPLETE", stack.reasons("UPDATE_FAILED")
        assert "gw-after" in redshift.clusters and "gw-before" not in redshift.clusters


def test_stack_works_without_logging_and_final_snapshot(gateway: Gateway, redshift: StubRedshift) -> None:
    template = {"Resources": {"Cluster": {"Type": "AWS::Redshift::Cluster", "DeletionPolicy": "Snapshot", "Properties": {
        "ClusterIdentifier": "gw-snapshot", "ClusterType": "single-node", "NodeType": "ra3.large", "DBName": "dev",
        "MasterUsername": "admin", "MasterUserPassword": "Password1",
        "LoggingProperties": {"LogDestinationType": "cloudwatch", "LogExports": ["userlog"]}}}}}
    with Stack(gateway, "gw-snapshot") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        requests = (one["request"] for one in redshift.requests if one["action"] == "EnableLogging")
        request = next(one for one in requests if one["ClusterIdentifier"] == "gw-snapshot")
        assert (request["LogDestinationType"], request["LogExports.member.1"]) == ("cloudwatch", "userlog")
        assert stack.delete() == "DELETE_COMPLETE"
    requests = (one["request"] for one in redshift.requests if "FinalClusterSnapshotIdentifier" in one["request"])
    request = next(one for one in requests if one["ClusterIdentifier"] == "gw-snapshot")
    assert request["FinalClusterSnapshotIdentifier"] == "gw-snapshot-final-snapshot"
    assert "gw-snapshot" not in redshift.clusters


def test_a_serverless_stack_has_the_documented_attributes(gateway: Gateway, redshift: StubRedshift) -> None:
    template = {
        "Resources": {
            "Namespace": {"Type": "AWS::RedshiftServerless::Namespace", "Properties": {"NamespaceName": "gw-sns", "DbName": "dev"}},
            "Workgroup": {"Type": "AWS::RedshiftServerless::Workgroup", "Properties": {
                "WorkgroupName": "gw-swg", "NamespaceName": {"Ref": "Namespace"}, "BaseCapacity": "8", "PubliclyAccessible": "false"}},
        },
        "Outputs": {
            "Namespace": {"Value": {"Fn::GetAtt": ["Namespace", "Namespace.NamespaceArn"]}},
            "Host": {"Value": {"Fn::GetAtt": ["Workgroup", "Workgroup.Endpoint.Address"]}},
            "Workgroup": {"Value": {"Fn::GetAtt": ["Workgroup", "Workgroup.WorkgroupArn"]}},
        },
    }
    with Stack(gateway, "gw-serverless") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        assert redshift.things["workgroup", "gw-swg"]["baseCapacity"] == 8
        assert redshift.things["workgroup", "gw-swg"]["publiclyAccessible"] is False
        assert stack.outputs() == {"Namespace": redshift.things["namespace", "gw-sns"]["namespaceArn"], "Host": "gw-swg.local",
                                   "Workgroup": redshift.things["workgroup", "gw-swg"]["workgroupArn"]}
    assert not {("workgroup", "gw-swg"), ("namespace", "gw-sns")} & set(redshift.things)


def test_network_stack_creates_nat_gateway_rules_and_flow_log(gateway: Gateway) -> None:
    template = {
        "Resources": {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16"}},
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.9.1.0/24"}},
            "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
            "Nat": {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": {"Ref": "Subnet"},
                                                                   "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]}}},
            "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
            "Route": {"Type": "AWS::EC2::Route", "Properties": {"RouteTableId": {"Ref": "Routes"}, "DestinationCidrBlock": "0.0.0.0/0",
                                                                "NatGatewayId": {"Ref": "Nat"}}},
            "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "g", "VpcId": {"Ref": "Vpc"}}},
            "In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {
                "GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439,
                "SourceSecurityGroupId": {"Ref": "Group"}}},
            "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {
                "GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}},
            "Logs": {"Type": "AWS::EC2::FlowLog", "Properties": {
                "ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC", "TrafficType": "REJECT", "LogDestinationType": "s3",
                "LogDestination": "arn:aws:s3:::gw-flow"}},
        },
        "Outputs": {"Group": {"Value": {"Ref": "Group"}}, "Nat": {"Value": {"Ref": "Nat"}}, "Address": {"Value": {"Ref": "Address"}},
                    "Logs": {"Value": {"Ref": "Logs"}}},
    }
    ec2 = gateway.client("ec2")
    with Stack(gateway, "gw-network") as stack:
        assert stack.create(template)["StackStatus"] == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
        outputs = stack.outputs()
        assert ec2.describe_nat_gateways(NatGatewayIds=[outputs["Nat"]])["NatGateways"][0]["State"] == "available"
        assert ec2.describe_addresses()["Addresses"][0]["PublicIp"] == outputs["Address"]
        group = ec2.describe_security_groups(GroupIds=[outputs["Group"]])["SecurityGroups"][0]
        assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == outputs["Group"]
        assert [rule.get("FromPort") for rule in group["IpPermissionsEgress"]] == [None, 443]
        assert ec2.describe_flow_logs(FlowLogIds=[outputs["Logs"]])["FlowLogs"][0]["TrafficType"] == "REJECT"
        assert stack.delete() == "DELETE_COMPLETE"
    assert not ec2.describe_addresses()["Addresses"]
    assert not ec2.describe_flow_logs(FlowLogIds=[outputs["Logs"]])["FlowLogs"]
