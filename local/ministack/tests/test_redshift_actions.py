"""The actions and resources on which a request is checked."""

from __future__ import annotations

from typing import Any

import pytest
from sluice_ministack.redshift_actions import Check, data_checks, redshift_checks, serverless_checks

BASE = "arn:aws:redshift:us-east-1:1"


def pairs(checks: list[Check]) -> list[tuple[str, str]]:
    return [(check.action, check.resource) for check in checks]


@pytest.mark.parametrize(("form", "expected"), [
    ({"Action": "DescribeClusters"}, [("redshift:DescribeClusters", f"{BASE}:cluster:*")]),
    ({"Action": "ModifyClusterIamRoles", "ClusterIdentifier": "Wh"}, [("redshift:ModifyClusterIamRoles", f"{BASE}:cluster:wh")]),
    ({"Action": "GetResourcePolicy", "ResourceArn": "arn:n"}, [("redshift:GetResourcePolicy", "arn:n")]),
    ({"Action": "CreateIntegration", "SourceArn": "s", "TargetArn": "t"}, [("redshift:CreateIntegration", f"{BASE}:integration:*")]),
    ({"Action": "CreateIntegration", "SourceArn": "s", "TargetArn": "t", "TagList.Tag.1.Key": "k", "TagList.Tag.1.Value": "v"},
     [("redshift:CreateIntegration", f"{BASE}:integration:*"), ("redshift:CreateTags", f"{BASE}:integration:*")]),
    ({"Action": "DescribeIntegrations"}, [("redshift:DescribeIntegrations", "*")]),
    ({"Action": "DeleteIntegration", "IntegrationArn": "arn:i"}, [("redshift:DeleteIntegration", "arn:i")]),
    ({"Action": "DescribeInboundIntegrations", "TargetArn": "arn:n"}, [("redshift:DescribeInboundIntegrations", "*")]),
    ({"Action": "CreateTags", "ResourceName": "arn:c"}, [("redshift:CreateTags", "arn:c")]),
    ({"Action": "GetClusterCredentials", "ClusterIdentifier": "c", "DbUser": "u", "DbName": "d"},
     [("redshift:GetClusterCredentials", f"{BASE}:dbuser:c/u"), ("redshift:GetClusterCredentials", f"{BASE}:dbname:c/d")]),
    ({"Action": "GetClusterCredentials", "ClusterIdentifier": "c", "DbUser": "u", "AutoCreate": "true", "DbGroups.DbGroup.1": "g"},
     [("redshift:GetClusterCredentials", f"{BASE}:dbuser:c/u"), ("redshift:CreateClusterUser", f"{BASE}:dbuser:c/u"),
      ("redshift:JoinGroup", f"{BASE}:dbgroup:c/g")]),
    ({"Action": "DescribeEvents"}, [("redshift:DescribeEvents", "*")]),
])
def test_cluster_request_is_checked_on_its_resource(
        form: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert pairs(redshift_checks(form, "us-east-1", "1")) == expected


def test_create_integration_sets_condition_keys() -> None:
    form = {"Action": "CreateIntegration", "SourceArn": "s", "TargetArn": "t", "TagList.Tag.1.Key": "k", "TagList.Tag.1.Value": "v"}
    assert redshift_checks(form, "us-east-1", "1")[0].context == {
        "redshift:IntegrationSourceArn": "s", "redshift:IntegrationTargetArn": "t", "aws:RequestTag/k": "v", "aws:TagKeys": ["k"]}


def lookup(kind: str, name: str) -> str | None:
    return f"arn:{kind}:{name}-id" if name == "known" else None


@pytest.mark.parametrize(("action", "request_", "expected"), [
    ("ExecuteStatement", {"ClusterIdentifier": "C"}, ("redshift-data:ExecuteStatement", f"{BASE}:cluster:c")),
    ("ExecuteStatement", {"WorkgroupName": "known"}, ("redshift-data:ExecuteStatement", "arn:workgroup:known-id")),
    ("ExecuteStatement", {"WorkgroupName": "arn:w"}, ("redshift-data:ExecuteStatement", "arn:w")),
    ("ExecuteStatement", {"WorkgroupName": "unknown"},
     ("redshift-data:ExecuteStatement", "arn:aws:redshift-serverless:us-east-1:1:workgroup/*")),
    ("ExecuteStatement", {"SessionId": "s"}, ("redshift-data:ExecuteStatement", "*")),
    ("DescribeStatement", {"Id": "i"}, ("redshift-data:DescribeStatement", "*")),
    ("GetStatementResultV2", {"Id": "i"}, ("redshift-data:GetStatementResult", "*")),
])
def test_data_api_request_is_checked_on_its_warehouse(
        action: str, request_: dict[str, Any], expected: tuple[str, str]) -> None:
    assert pairs(data_checks(action, request_, "us-east-1", "1", lookup)) == [expected]


@pytest.mark.parametrize(("action", "request_", "expected"), [
    ("GetWorkgroup", {"workgroupName": "known"}, [("redshift-serverless:GetWorkgroup", "arn:workgroup:known-id")]),
    ("UpdateNamespace", {"namespaceName": "known"}, [("redshift-serverless:UpdateNamespace", "arn:namespace:known-id")]),
    ("ListNamespaces", {}, [("redshift-serverless:ListNamespaces", "*")]),
    ("TagResource", {"resourceArn": "arn:n", "tags": [{"key": "k", "value": "v"}]}, [("redshift-serverless:TagResource", "arn:n")]),
    ("CreateNamespace", {"namespaceName": "n", "tags": [{"key": "k", "value": "v"}]},
     [("redshift-serverless:CreateNamespace", "arn:aws:redshift-serverless:us-east-1:1:namespace/*"),
      ("redshift-serverless:TagResource", "arn:aws:redshift-serverless:us-east-1:1:namespace/*")]),
])
def test_a_serverless_request_is_checked_on_the_arn_with_the_id(
        action: str, request_: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert pairs(serverless_checks(action, request_, "us-east-1", "1", lookup)) == expected


def test_arns_follow_the_regions_partition() -> None:
    assert redshift_checks({"Action": "DescribeClusters"}, "cn-north-1", "1")[0].resource == "arn:aws-cn:redshift:cn-north-1:1:cluster:*"
    assert redshift_checks({"Action": "DescribeClusters"}, "us-gov-west-1", "1")[0].resource.startswith("arn:aws-us-gov:")
