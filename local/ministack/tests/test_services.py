"""Seam 1: the three Redshift services, checked and forwarded."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from conftest import TARGET, Gateway
from stub_redshift import StubRedshift

CLUSTER = f"arn:aws:redshift:us-east-1:{TARGET}:cluster:gw-one"


def _make(gateway: Gateway, name: str) -> None:
    gateway.client("redshift").create_cluster(ClusterIdentifier=name, NodeType="ra3.large", MasterUsername="admin",
                                              MasterUserPassword="Password1")


def test_forwarded_request_has_the_caller_headers(
        gateway: Gateway, redshift: StubRedshift) -> None:
    credentials = gateway.role("gw-forward", [{"Effect": "Allow", "Action": "redshift-data:*", "Resource": "*"}])
    gateway.as_role("redshift-data", credentials, "eu-west-1").execute_statement(ClusterIdentifier="c", Database="d", Sql="select 1")
    seen = redshift.requests[-1]
    assert seen["action"] == "ExecuteStatement"
    assert seen["request"]["Sql"] == "select 1"
    assert seen["headers"]["x-sluice-account"] == TARGET
    assert seen["headers"]["x-sluice-region"] == "eu-west-1"
    assert seen["headers"]["x-sluice-principal"] == f"arn:aws:sts::{TARGET}:assumed-role/gw-forward/test"
    assert seen["headers"]["x-sluice-access-key"] == credentials["AccessKeyId"]


def test_the_root_of_an_account_may_do_everything(gateway: Gateway) -> None:
    _make(gateway, "gw-root")
    found = gateway.client("redshift").describe_clusters(ClusterIdentifier="gw-root")["Clusters"][0]
    assert found["Endpoint"]["Address"] == "gw-root.local"


def test_denied_query_call_has_the_message_of_aws(gateway: Gateway, redshift: StubRedshift) -> None:
    credentials = gateway.role("gw-none", [])
    before = len(redshift.requests)
    with pytest.raises(ClientError) as refused:
        gateway.as_role("redshift", credentials).describe_clusters(ClusterIdentifier="gw-one")
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == (
        f"User: arn:aws:sts::{TARGET}:assumed-role/gw-none/test is not authorized to perform: redshift:DescribeClusters on resource: "
        f"{CLUSTER} because no identity-based policy allows the redshift:DescribeClusters action")
    assert len(redshift.requests) == before


def test_a_refused_json_call_is_an_access_denied_exception(gateway: Gateway) -> None:
    credentials = gateway.role("gw-none-json", [])
    with pytest.raises(ClientError) as refused:
        gateway.as_role("redshift-data", credentials).execute_statement(ClusterIdentifier="gw-one", Database="d", Sql="select 1")
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "redshift-data:ExecuteStatement" in error["Message"]


def test_a_grant_on_one_cluster_does_not_open_another(gateway: Gateway) -> None:
    _make(gateway, "gw-one")
    credentials = gateway.role("gw-narrow", [{"Effect": "Allow", "Action": "redshift:DescribeClusters", "Resource": CLUSTER}])
    client = gateway.as_role("redshift", credentials)
    assert client.describe_clusters(ClusterIdentifier="gw-one")["Clusters"]
    with pytest.raises(ClientError, match="cluster:gw-two"):
        client.describe_clusters(ClusterIdentifier="gw-two")


def test_a_workgroup_is_checked_on_its_arn_with_its_id(gateway: Gateway) -> None:
    root = gateway.client("redshift-serverless")
    root.create_namespace(namespaceName="gw-ns")
    arn = root.create_workgroup(workgroupName="gw-wg", namespaceName="gw-ns")["workgroup"]["workgroupArn"]
    credentials = gateway.role("gw-wg", [{"Effect": "Allow", "Action": ["redshift-serverless:GetWorkgroup",
                                                                        "redshift-data:ExecuteStatement"], "Resource": arn}])
    assert gateway.as_role("redshift-serverless", credentials).get_workgroup(workgroupName="gw-wg")["workgroup"]["workgroupArn"] == arn
    assert gateway.as_role("redshift-data", credentials).execute_statement(WorkgroupName="gw-wg", Database="d", Sql="select 1")["Id"]
    with pytest.raises(ClientError, match="redshift-serverless:GetNamespace on resource: .*:namespace/"):
        gateway.as_role("redshift-serverless", credentials).get_namespace(namespaceName="gw-ns")


def test_every_decision_is_recorded(gateway: Gateway) -> None:
    credentials = gateway.role("gw-recorded", [{"Effect": "Allow", "Action": "redshift:DescribeClusters", "Resource": "*"}])
    client = gateway.as_role("redshift", credentials)
    client.describe_clusters()
    with pytest.raises(ClientError):
        client.describe_events()
    calls = gateway.call("GET", "calls?principal=gw-recorded")[1]["calls"]
    assert [(call["action"], call["resource"], call["decision"]) for call in calls] == [
        ("redshift:DescribeClusters", f"arn:aws:redshift:us-east-1:{TARGET}:cluster:*", "allowed"),
        ("redshift:DescribeEvents", "*", "denied")]
