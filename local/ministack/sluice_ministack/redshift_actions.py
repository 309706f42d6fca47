"""The IAM actions and resources on which a request to the Redshift services is checked.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon
Redshift", "… Amazon Redshift Data API" and "… Amazon Redshift Serverless". An action without a
resource type there is checked on ``*``. The resource-level rules of GetClusterCredentials are from
its API reference; CreateTags on creation with tags from the handler permissions in the
CloudFormation schema of AWS::Redshift::Integration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# (kind, name) -> ARN or None: "workgroup" and "namespace" of Redshift Serverless, whose ARNs hold
# an id, not the name.
Lookup = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Check:
    """One action on one resource, with the condition keys the service supplies."""

    action: str
    resource: str
    context: dict[str, Any] = field(default_factory=dict)


_ON_CLUSTER = frozenset({
    "CancelResize", "CreateCluster", "DeleteCluster", "DescribeClusters", "DescribeLoggingStatus", "DescribeResize",
    "DisableLogging", "DisableSnapshotCopy", "EnableLogging", "EnableSnapshotCopy", "FailoverPrimaryCompute", "ModifyCluster",
    "ModifyClusterDbRevision", "ModifyClusterIamRoles", "ModifyClusterMaintenance", "ModifyClusterSnapshotSchedule",
    "ModifySnapshotCopyRetentionPeriod", "PauseCluster", "RebootCluster", "ResizeCluster", "ResumeCluster", "RotateEncryptionKey",
})
_ON_PARAMETER_GROUP = frozenset({
    "CreateClusterParameterGroup", "DeleteClusterParameterGroup", "DescribeClusterParameters", "ModifyClusterParameterGroup",
    "ResetClusterParameterGroup",
})
_ON_SUBNET_GROUP = frozenset({"CreateClusterSubnetGroup", "DeleteClusterSubnetGroup", "ModifyClusterSubnetGroup"})
_ON_NAMESPACE = frozenset({"DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy"})
_ON_INTEGRATION = frozenset({"DeleteIntegration", "DescribeIntegrations", "ModifyIntegration"})
_ON_TAGGED = frozenset({"CreateTags", "DeleteTags", "DescribeTags"})

_DATA_ON_WAREHOUSE = frozenset({
    "BatchExecuteStatement", "DescribeTable", "ExecuteStatement", "ListDatabases", "ListSchemas", "ListTables",
})
_SERVERLESS_ON_WORKGROUP = frozenset({"DeleteWorkgroup", "GetCredentials", "GetWorkgroup", "UpdateWorkgroup"})
_SERVERLESS_ON_NAMESPACE = frozenset({"DeleteNamespace", "GetNamespace", "UpdateNamespace"})
_SERVERLESS_ON_TAGGED = frozenset({"ListTagsForResource", "TagResource", "UntagResource"})


def partition(region: str) -> str:
    """The partition of a Region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def query_action(form: Mapping[str, str]) -> str:
    """The action of a query-protocol request, ``""`` when it names none."""
    return form.get("Action", "")


def redshift_checks(form: Mapping[str, str], region: str, account: str) -> list[Check]:
    """The checks of one request to the provisioned service; ``form`` holds the request's
    parameters.
    """
    action = query_action(form)
    base = f"arn:{partition(region)}:redshift:{region}:{account}"
    cluster = form.get("ClusterIdentifier", "").lower()

    def one(resource: str, context: dict[str, Any] | None = None) -> list[Check]:
        return [Check(f"redshift:{action}", resource, {**(context or {}), **_query_tags(form)})]

    tagging = [Check("redshift:CreateTags", f"{base}:{_TAGGED_ON_CREATE[action](form)}", _query_tags(form))] \
        if action in _TAGGED_ON_CREATE and _query_tags(form) else []
    if action == "CreateIntegration":
        return one(f"{base}:integration:*", {
            "redshift:IntegrationSourceArn": form.get("SourceArn", ""),
            "redshift:IntegrationTargetArn": form.get("TargetArn", ""),
        }) + tagging
    if action == "GetClusterCredentials":
        return _credentials_checks(form, base, cluster)
    if action == "GetClusterCredentialsWithIAM":
        return one(f"{base}:dbname:{cluster}/{form.get('DbName') or '*'}")
    if action in _ON_CLUSTER:
        return one(f"{base}:cluster:{cluster or '*'}") + tagging
    if action in _ON_PARAMETER_GROUP:
        return one(f"{base}:parametergroup:{form.get('ParameterGroupName') or '*'}") + tagging
    if action in _ON_SUBNET_GROUP:
        return one(f"{base}:subnetgroup:{form.get('ClusterSubnetGroupName') or '*'}") + tagging
    if action in _ON_NAMESPACE:
        return one(form.get("ResourceArn") or "*")
    if action == "DescribeIntegrations" and not form.get("IntegrationArn"):
        # A list call names no integration; AWS's zero-ETL examples grant it on all resources. That AWS
        # would take integration:* is not documented.
        return one("*")
    if action in _ON_INTEGRATION:
        return one(form.get("IntegrationArn") or f"{base}:integration:*")
    if action in _ON_TAGGED:
        return one(form.get("ResourceName") or "*")
    return one("*")


_TAGGED_ON_CREATE: dict[str, Callable[[Mapping[str, str]], str]] = {
    "CreateCluster": lambda form: f"cluster:{form.get('ClusterIdentifier', '').lower()}",
    "CreateClusterParameterGroup": lambda form: f"parametergroup:{form.get('ParameterGroupName', '')}",
    "CreateClusterSubnetGroup": lambda form: f"subnetgroup:{form.get('ClusterSubnetGroupName', '')}",
    "CreateIntegration": lambda form: "integration:*",
}


def _credentials_checks(form: Mapping[str, str], base: str, cluster: str) -> list[Check]:
    user = f"{base}:dbuser:{cluster}/{form.get('DbUser', '')}"
    checks = [Check("redshift:GetClusterCredentials", user)]
    if form.get("DbName"):
        checks.append(Check("redshift:GetClusterCredentials", f"{base}:dbname:{cluster}/{form['DbName']}"))
    if form.get("AutoCreate", "").lower() == "true":
        checks.append(Check("redshift:CreateClusterUser", user))
    for name, value in form.items():
        if re.fullmatch(r"DbGroups\.(DbGroup|member)\.\d+", name):
            checks.append(Check("redshift:JoinGroup", f"{base}:dbgroup:{cluster}/{value}"))
    return checks


_TAG = re.compile(r"(Tags|TagList)\.(Tag|member)\.\d+\.Key")
_TAG_KEY = re.compile(r"TagKeys\.(TagKey|member)\.\d+")


def _query_tags(form: Mapping[str, str]) -> dict[str, Any]:
    """aws:RequestTag/KEY for each tag set and aws:TagKeys for each key named."""
    context: dict[str, Any] = {}
    keys: list[str] = []
    for name, value in form.items():
        if _TAG.fullmatch(name):
            context[f"aws:RequestTag/{value}"] = form.get(f"{name[:-len('.Key')]}.Value", "")
            keys.append(value)
        elif _TAG_KEY.fullmatch(name):
            keys.append(value)
    return {**context, "aws:TagKeys": keys} if keys else {}


def data_checks(action: str, request: Mapping[str, Any], region: str, account: str, lookup: Lookup) -> list[Check]:
    """The check of one Data API request. Statement ids have no ARN: their actions are checked on
    ``*``.
    """
    resource = "*"
    if action in _DATA_ON_WAREHOUSE:
        cluster, workgroup = request.get("ClusterIdentifier"), request.get("WorkgroupName")
        if cluster:
            resource = f"arn:{partition(region)}:redshift:{region}:{account}:cluster:{str(cluster).lower()}"
        elif workgroup:
            resource = _workgroup_arn(str(workgroup), region, account, lookup)
    # GetStatementResultV2 is authorised as GetStatementResult [page: data-api-iam].
    name = "GetStatementResult" if action == "GetStatementResultV2" else action
    return [Check(f"redshift-data:{name}", resource)]


def serverless_checks(action: str, request: Mapping[str, Any], region: str, account: str, lookup: Lookup) -> list[Check]:
    """The checks of one request to Redshift Serverless."""
    base = f"arn:{partition(region)}:redshift-serverless:{region}:{account}"
    tags = _json_tags(request)
    resource = "*"
    if action in _SERVERLESS_ON_WORKGROUP:
        resource = _workgroup_arn(str(request.get("workgroupName", "")), region, account, lookup)
    elif action in _SERVERLESS_ON_NAMESPACE:
        resource = lookup("namespace", str(request.get("namespaceName", ""))) or f"{base}:namespace/*"
    elif action == "CreateWorkgroup":
        resource = f"{base}:workgroup/*"
    elif action == "CreateNamespace":
        resource = f"{base}:namespace/*"
    elif action in _SERVERLESS_ON_TAGGED:
        resource = str(request.get("resourceArn") or "*")
    checks = [Check(f"redshift-serverless:{action}", resource, tags)]
    if action in ("CreateWorkgroup", "CreateNamespace") and tags:
        checks.append(Check("redshift-serverless:TagResource", resource, tags))
    return checks


def _workgroup_arn(name: str, region: str, account: str, lookup: Lookup) -> str:
    if name.startswith("arn:"):
        return name
    return lookup("workgroup", name) or f"arn:{partition(region)}:redshift-serverless:{region}:{account}:workgroup/*"


def _json_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    tags = [tag for tag in request.get("tags") or [] if isinstance(tag, dict) and "key" in tag]
    keys = [str(tag["key"]) for tag in tags] + [str(key) for key in request.get("tagKeys") or []]
    context: dict[str, Any] = {f"aws:RequestTag/{tag['key']}": str(tag.get("value", "")) for tag in tags}
    return {**context, "aws:TagKeys": keys} if keys else {}
