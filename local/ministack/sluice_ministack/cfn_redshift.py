"""AWS::Redshift::* and AWS::RedshiftServerless::*: made by sluice-redshift, as the root of the
stack's account.

Property names, create-only properties and attributes: CloudFormation resource schemas of the types.
Creation waits until the warehouse is available, as CloudFormation's handlers do.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region

from . import cfn_types
from .cfn_types import Made, Properties, ResourceType, is_true, physical_name, tags_of, text
from .redshift_actions import partition
from .stand_in import Caller, StandInError, call_json, call_query

TARGETS = cfn_types.TARGETS

_log = logging.getLogger("sluice.cloudformation")
WAIT_SECONDS = 600.0
_POLL_SECONDS = 0.3

_CLUSTER_SCALARS = (
    "DBName", "ClusterType", "NodeType", "NumberOfNodes", "MasterUsername", "MasterUserPassword", "ManageMasterPassword",
    "MasterPasswordSecretKmsKeyId", "Encrypted", "KmsKeyId", "Port", "PubliclyAccessible", "ClusterSubnetGroupName",
    "ClusterParameterGroupName", "AvailabilityZone", "AutomatedSnapshotRetentionPeriod", "ManualSnapshotRetentionPeriod",
    "PreferredMaintenanceWindow", "AllowVersionUpgrade", "EnhancedVpcRouting", "MultiAZ", "ClusterVersion", "MaintenanceTrackName",
    "AvailabilityZoneRelocation",
)
_CLUSTER_REPLACING = ("ClusterIdentifier", "ClusterSubnetGroupName", "DBName", "MasterUsername", "OwnerAccount", "SnapshotIdentifier")
_ACTIONS = {"pause-cluster": "PauseCluster", "resume-cluster": "ResumeCluster"}


def _root() -> Caller:
    return Caller.root(get_account_id(), get_region())


def _members(name: str, member: str, values: Any) -> dict[str, str]:
    return {f"{name}.{member}.{number}": text(value) for number, value in enumerate(values or [], 1)}


def _tag_members(tags: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, (key, value) in enumerate(tags.items(), 1):
        found[f"Tags.Tag.{number}.Key"], found[f"Tags.Tag.{number}.Value"] = key, value
    return found


def _retag(arn: str, old: Properties, new: Properties) -> None:
    before, after = tags_of(old), tags_of(new)
    gone = [key for key in before if key not in after]
    if gone:
        call_query(_root(), "DeleteTags", {"ResourceName": arn, **_members("TagKeys", "TagKey", gone)})
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    if changed:
        call_query(_root(), "CreateTags", {"ResourceName": arn, **_tag_members(changed)})


def _wait(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {WAIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def _missing(call: Callable[[], Any], *codes: str) -> bool:
    """Return true if a call fails because its object does not exist; false for any other outcome.
    """
    try:
        call()
    except StandInError as error:
        if error.code in codes:
            return True
        raise
    return False


# --- AWS::Redshift::Cluster
# ------------------------------------------------------------

def _cluster_arn(identifier: str) -> str:
    return f"arn:{partition(get_region())}:redshift:{get_region()}:{get_account_id()}:cluster:{identifier}"


def _cluster_attributes(identifier: str) -> dict[str, str]:
    cluster = call_query(_root(), "DescribeClusters", {"ClusterIdentifier": identifier}).find(".//Clusters/Cluster")
    if cluster is None:
        raise ValueError(f"cluster {identifier} is not described by Redshift")
    found = {"Id": identifier, "Endpoint.Address": cluster.findtext("Endpoint/Address") or "",
             "Endpoint.Port": cluster.findtext("Endpoint/Port") or "",
             "ClusterNamespaceArn": cluster.findtext("ClusterNamespaceArn") or ""}
    secret = cluster.findtext("MasterPasswordSecretArn")
    return {**found, "MasterPasswordSecretArn": secret} if secret else found


def _cluster_status(identifier: str) -> str:
    found = call_query(_root(), "DescribeClusters", {"ClusterIdentifier": identifier})
    return found.findtext(".//Clusters/Cluster/ClusterStatus") or ""


def _if_imitated(what: str, call: Callable[[], Any]) -> bool:
    """Make a call without which a stack works; log it if sluice-redshift does not imitate the
    action.
    """
    if _missing(call, "UnsupportedOperation"):
        _log.warning("%s is not imitated by the local cloud; the stack continues without it", what)
        return False
    return True


def _cluster_logging(identifier: str, logging_properties: Properties | None) -> None:
    if not logging_properties:
        _if_imitated("DisableLogging", lambda: call_query(_root(), "DisableLogging", {"ClusterIdentifier": identifier}))
        return
    scalars = ("BucketName", "S3KeyPrefix", "LogDestinationType")
    request = {"ClusterIdentifier": identifier,
               **{name: text(logging_properties[name]) for name in scalars if logging_properties.get(name)},
               **_members("LogExports", "member", logging_properties.get("LogExports"))}
    _if_imitated("EnableLogging", lambda: call_query(_root(), "EnableLogging", request))


def _namespace_policy(namespace_arn: str, policy: Any) -> None:
    if policy:
        document = policy if isinstance(policy, str) else json.dumps(policy)
        call_query(_root(), "PutResourcePolicy", {"ResourceArn": namespace_arn, "Policy": document})
    else:
        call_query(_root(), "DeleteResourcePolicy", {"ResourceArn": namespace_arn})


def _cluster_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    if props.get("SnapshotIdentifier"):
        raise ValueError("AWS::Redshift::Cluster: SnapshotIdentifier is not supported by the local cloud; "
                         "create the cluster without a snapshot")
    identifier = str(props.get("ClusterIdentifier") or physical_name(stack_name, logical_id, 63)).lower()
    call_query(_root(), "CreateCluster", {
        "ClusterIdentifier": identifier,
        **{name: text(props[name]) for name in _CLUSTER_SCALARS if props.get(name) is not None},
        **_members("VpcSecurityGroupIds", "VpcSecurityGroupId", props.get("VpcSecurityGroupIds")),
        **_members("IamRoles", "IamRoleArn", props.get("IamRoles")),
        **_tag_members(tags_of(props))})
    _wait(f"cluster {identifier}", lambda: _cluster_status(identifier) == "available")
    attributes = _cluster_attributes(identifier)
    if props.get("LoggingProperties"):
        _cluster_logging(identifier, props["LoggingProperties"])
    if props.get("NamespaceResourcePolicy"):
        _namespace_policy(attributes["ClusterNamespaceArn"], props["NamespaceResourcePolicy"])
    return identifier, attributes


def _cluster_update(identifier: str, old: Properties, new: Properties, stack_name: str) -> Made:
    changed = {name: text(new[name]) for name in _CLUSTER_SCALARS
               if new.get(name) is not None and new.get(name) != old.get(name)}
    if new.get("VpcSecurityGroupIds") != old.get("VpcSecurityGroupIds"):
        changed.update(_members("VpcSecurityGroupIds", "VpcSecurityGroupId", new.get("VpcSecurityGroupIds")))
    if changed:
        call_query(_root(), "ModifyCluster", {"ClusterIdentifier": identifier, **changed})
    before, after = set(old.get("IamRoles") or []), set(new.get("IamRoles") or [])
    if before != after:
        call_query(_root(), "ModifyClusterIamRoles", {
            "ClusterIdentifier": identifier, **_members("AddIamRoles", "IamRoleArn", sorted(after - before)),
            **_members("RemoveIamRoles", "IamRoleArn", sorted(before - after))})
    _retag(_cluster_arn(identifier), old, new)
    action = new.get("ResourceAction")
    if action and action != old.get("ResourceAction"):
        if action not in _ACTIONS:
            raise ValueError(f"AWS::Redshift::Cluster: ResourceAction {action} is not supported by the local cloud")
        call_query(_root(), _ACTIONS[action], {"ClusterIdentifier": identifier})
    settled = ("available", "paused")
    _wait(f"cluster {identifier}", lambda: _cluster_status(identifier) in settled)
    attributes = _cluster_attributes(identifier)
    if new.get("LoggingProperties") != old.get("LoggingProperties"):
        _cluster_logging(identifier, new.get("LoggingProperties"))
    if new.get("NamespaceResourcePolicy") != old.get("NamespaceResourcePolicy"):
        _namespace_policy(attributes["ClusterNamespaceArn"], new.get("NamespaceResourcePolicy"))
    return identifier, attributes


def _end_cluster(identifier: str, parameters: dict[str, str]) -> None:
    gone = ("ClusterNotFound", "ClusterNotFoundFault")
    if _missing(lambda: call_query(_root(), "DeleteCluster", {"ClusterIdentifier": identifier, **parameters}), *gone):
        return
    _wait(f"deletion of cluster {identifier}", lambda: _missing(lambda: _cluster_status(identifier), *gone))


def _cluster_delete(identifier: str, props: Properties) -> None:
    _end_cluster(identifier, {"SkipFinalClusterSnapshot": "true"})


def _cluster_snapshot(identifier: str, props: Properties) -> None:
    # The engine deletes the cluster afterwards. The final snapshot is a parameter of the deletion,
    # as in Redshift.
    final = {"FinalClusterSnapshotIdentifier": f"{identifier}-final-snapshot"}
    _if_imitated(f"the final snapshot of cluster {identifier}", lambda: _end_cluster(identifier, final))


# --- groups
# ------------------------------------------------------------

def _subnet_group_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    name = str(props.get("ClusterSubnetGroupName") or physical_name(stack_name, logical_id, 255)).lower()
    call_query(_root(), "CreateClusterSubnetGroup", {
        "ClusterSubnetGroupName": name, "Description": str(props.get("Description", name)),
        **_members("SubnetIds", "SubnetIdentifier", props.get("SubnetIds")), **_tag_members(tags_of(props))})
    return name, {"ClusterSubnetGroupName": name}


def _subnet_group_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    call_query(_root(), "ModifyClusterSubnetGroup", {
        "ClusterSubnetGroupName": name, "Description": str(new.get("Description", name)),
        **_members("SubnetIds", "SubnetIdentifier", new.get("SubnetIds"))})
    return name, {"ClusterSubnetGroupName": name}


def _subnet_group_delete(name: str, props: Properties) -> None:
    _missing(lambda: call_query(_root(), "DeleteClusterSubnetGroup", {"ClusterSubnetGroupName": name}),
             "ClusterSubnetGroupNotFoundFault")


def _set_parameters(name: str, parameters: list[dict[str, Any]]) -> None:
    if not parameters:
        return
    request = {"ParameterGroupName": name}
    for number, one in enumerate(parameters, 1):
        request[f"Parameters.Parameter.{number}.ParameterName"] = str(one["ParameterName"])
        request[f"Parameters.Parameter.{number}.ParameterValue"] = text(one["ParameterValue"])
    call_query(_root(), "ModifyClusterParameterGroup", request)


def _parameter_group_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    name = str(props.get("ParameterGroupName") or physical_name(stack_name, logical_id, 255)).lower()
    call_query(_root(), "CreateClusterParameterGroup", {
        "ParameterGroupName": name, "ParameterGroupFamily": str(props.get("ParameterGroupFamily", "")),
        "Description": str(props.get("Description", name)), **_tag_members(tags_of(props))})
    _set_parameters(name, props.get("Parameters") or [])
    return name, {"ParameterGroupName": name}


def _parameter_group_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    _set_parameters(name, new.get("Parameters") or [])
    return name, {"ParameterGroupName": name}


def _parameter_group_delete(name: str, props: Properties) -> None:
    _missing(lambda: call_query(_root(), "DeleteClusterParameterGroup", {"ParameterGroupName": name}),
             "ClusterParameterGroupNotFound", "ClusterParameterGroupNotFoundFault")


# --- Redshift Serverless
# ------------------------------------------------------------

_INTEGERS = frozenset({"BaseCapacity", "MaxCapacity", "Port", "Level"})
_BOOLEANS = frozenset({"EnhancedVpcRouting", "PubliclyAccessible", "ManageAdminPassword"})
_NAMESPACE_FIELDS = ("AdminUsername", "AdminUserPassword", "ManageAdminPassword", "AdminPasswordSecretKmsKeyId", "DbName", "IamRoles",
                     "DefaultIamRoleArn", "KmsKeyId", "LogExports")
_WORKGROUP_FIELDS = ("NamespaceName", "BaseCapacity", "MaxCapacity", "ConfigParameters", "SecurityGroupIds", "SubnetIds",
                     "EnhancedVpcRouting", "PubliclyAccessible", "Port", "PricePerformanceTarget", "TrackName")


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _json_value(name: str, value: Any) -> Any:
    if name in _INTEGERS:
        return int(value)
    if name in _BOOLEANS:
        return is_true(value)
    if isinstance(value, dict):
        return {_camel(key): _json_value(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json_value("", inner) for inner in value]
    return value


def _json_fields(names: tuple[str, ...], props: Properties) -> dict[str, Any]:
    return {_camel(name): _json_value(name, props[name]) for name in names if props.get(name) is not None}


def _json_tags(props: Properties) -> dict[str, Any]:
    tags = [{"key": key, "value": value} for key, value in tags_of(props).items()]
    return {"tags": tags} if tags else {}


def _flat(prefix: str, value: dict[str, Any]) -> dict[str, Any]:
    """An API response as attributes: ``Workgroup.Endpoint.Address``."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}.{key[:1].upper()}{key[1:]}"
        if isinstance(inner, dict):
            found.update(_flat(name, inner))
        elif not isinstance(inner, list):
            found[name] = text(inner)
    return found


def _described(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = call_json("redshift-serverless", _root(), f"Get{kind}", {f"{_camel(kind)}Name": name})[_camel(kind)]
    return found


def _when_available(kind: str, name: str) -> dict[str, Any]:
    _wait(f"{kind.lower()} {name}", lambda: str(_described(kind, name).get("status", "")).upper() == "AVAILABLE")
    return _described(kind, name)


def _end(kind: str, name: str) -> None:
    request = {f"{_camel(kind)}Name": name}
    gone = "ResourceNotFoundException"
    if not _missing(lambda: call_json("redshift-serverless", _root(), f"Delete{kind}", request), gone):
        _wait(f"deletion of {kind.lower()} {name}", lambda: _missing(lambda: _described(kind, name), gone))


def _retag_serverless(arn: str, old: Properties, new: Properties) -> None:
    before, after = tags_of(old), tags_of(new)
    gone = [key for key in before if key not in after]
    if gone:
        call_json("redshift-serverless", _root(), "UntagResource", {"resourceArn": arn, "tagKeys": gone})
    changed = [{"key": key, "value": value} for key, value in after.items() if before.get(key) != value]
    if changed:
        call_json("redshift-serverless", _root(), "TagResource", {"resourceArn": arn, "tags": changed})


def _namespace_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    name = str(props["NamespaceName"])
    call_json("redshift-serverless", _root(), "CreateNamespace",
              {"namespaceName": name, **_json_fields(_NAMESPACE_FIELDS, props), **_json_tags(props)})
    found = _when_available("Namespace", name)
    if props.get("NamespaceResourcePolicy"):
        _namespace_policy(str(found["namespaceArn"]), props["NamespaceResourcePolicy"])
    return name, _flat("Namespace", found)


def _namespace_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    changed = {key: new[key] for key in _NAMESPACE_FIELDS if new.get(key) is not None and new.get(key) != old.get(key)}
    if changed:
        call_json("redshift-serverless", _root(), "UpdateNamespace",
                  {"namespaceName": name, **_json_fields(_NAMESPACE_FIELDS, changed)})
    found = _when_available("Namespace", name)
    _retag_serverless(str(found["namespaceArn"]), old, new)
    if new.get("NamespaceResourcePolicy") != old.get("NamespaceResourcePolicy"):
        _namespace_policy(str(found["namespaceArn"]), new.get("NamespaceResourcePolicy"))
    return name, _flat("Namespace", found)


def _workgroup_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    name = str(props["WorkgroupName"])
    call_json("redshift-serverless", _root(), "CreateWorkgroup",
              {"workgroupName": name, **_json_fields(_WORKGROUP_FIELDS, props), **_json_tags(props)})
    return name, _flat("Workgroup", _when_available("Workgroup", name))


def _workgroup_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    changed = {key: new[key] for key in _WORKGROUP_FIELDS if new.get(key) is not None and new.get(key) != old.get(key)}
    if changed:
        call_json("redshift-serverless", _root(), "UpdateWorkgroup",
                  {"workgroupName": name, **_json_fields(_WORKGROUP_FIELDS, changed)})
    found = _when_available("Workgroup", name)
    _retag_serverless(str(found["workgroupArn"]), old, new)
    return name, _flat("Workgroup", found)


TYPES = (
    ResourceType("AWS::Redshift::Cluster", _cluster_create, _cluster_delete, _cluster_update, _cluster_snapshot, _CLUSTER_REPLACING,
                 blocking=True),
    ResourceType("AWS::Redshift::ClusterSubnetGroup", _subnet_group_create, _subnet_group_delete, _subnet_group_update,
                 replacing=("ClusterSubnetGroupName",), blocking=True),
    ResourceType("AWS::Redshift::ClusterParameterGroup", _parameter_group_create, _parameter_group_delete, _parameter_group_update,
                 replacing=("Description", "ParameterGroupFamily", "ParameterGroupName"), blocking=True),
    ResourceType("AWS::RedshiftServerless::Namespace", _namespace_create, lambda name, props: _end("Namespace", name),
                 _namespace_update, replacing=("NamespaceName",), blocking=True),
    ResourceType("AWS::RedshiftServerless::Workgroup", _workgroup_create, lambda name, props: _end("Workgroup", name),
                 _workgroup_update, replacing=("WorkgroupName",), blocking=True),
)


def install() -> None:
    """Register the types."""
    cfn_types.install()
    cfn_types.register(TYPES)
