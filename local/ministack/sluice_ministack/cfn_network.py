"""The EC2 resource types MiniStack's stack engine lacks, on MiniStack's own EC2.

AWS::EC2::EIP, NatGateway, SecurityGroupIngress, SecurityGroupEgress and FlowLog; nothing is routed
here, only described. Attributes and create-only properties: CloudFormation resource schemas.
AWS::Redshift's subnets need nothing more.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from .cfn_types import Made, Properties, ResourceType, register
from .patching import Target

TARGETS = (
    *(Target("ministack.services.ec2", name) for name in (
        "_allocate_address", "_release_address", "_create_nat_gateway", "_delete_nat_gateway", "_create_flow_logs",
        "_delete_flow_logs", "_addresses", "_security_groups", "_nat_gateways", "_ensure_defaults_initialized")),
    Target("ministack.services.cloudformation.provisioners", "_ec2_sg_permissions", ("rules",)),
    Target("ministack.services.cloudformation.provisioners", "_ec2_apply_tags", ("physical_id", "props", "old_props")),
)


def _call(function: Any, parameters: dict[str, str]) -> Element:
    """One EC2 API function; its answer without namespaces. Raises ValueError with the API's
    message.
    """
    ec2._ensure_defaults_initialized()
    status, _, body = function({name: [value] for name, value in parameters.items()})
    root: Element = fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    if status >= 300:
        raise ValueError(f"{root.findtext('.//Message')} (Service: Ec2, Error Code: {root.findtext('.//Code')})")
    return root


def _tagged(physical_id: str, new: Properties, old: Properties | None = None) -> None:
    provisioners._ec2_apply_tags(physical_id, new, old)


def _eip_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    made = _call(ec2._allocate_address, {"Domain": str(props.get("Domain", "vpc"))})
    allocation, address = made.findtext("allocationId") or "", made.findtext("publicIp") or ""
    _tagged(allocation, props)
    return address, {"AllocationId": allocation, "PublicIp": address}


def _allocation_of(address: str) -> str:
    return next((key for key, record in ec2._addresses.items() if record["PublicIp"] == address), "")


def _eip_update(address: str, old: Properties, new: Properties, stack_name: str) -> Made:
    allocation = _allocation_of(address)
    _tagged(allocation, new, old)
    return address, {"AllocationId": allocation, "PublicIp": address}


def _eip_delete(address: str, props: Properties) -> None:
    allocation = _allocation_of(address)
    if allocation:
        _call(ec2._release_address, {"AllocationId": allocation})


def _nat_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    made = _call(ec2._create_nat_gateway, {
        "SubnetId": str(props.get("SubnetId", "")), "ConnectivityType": str(props.get("ConnectivityType", "public")),
        **({"AllocationId": str(props["AllocationId"])} if props.get("AllocationId") else {})})
    identifier = made.findtext(".//natGatewayId") or ""
    _tagged(identifier, props)
    return identifier, {"NatGatewayId": identifier}


def _nat_update(identifier: str, old: Properties, new: Properties, stack_name: str) -> Made:
    _tagged(identifier, new, old)
    return identifier, {"NatGatewayId": identifier}


def _nat_delete(identifier: str, props: Properties) -> None:
    if identifier in ec2._nat_gateways:
        _call(ec2._delete_nat_gateway, {"NatGatewayId": identifier})


def _rules(group_id: str, side: str) -> list[dict[str, Any]]:
    group = ec2._security_groups.get(group_id)
    if group is None:
        raise ValueError(f"The security group '{group_id}' does not exist (Service: Ec2, Error Code: InvalidGroup.NotFound)")
    found: list[dict[str, Any]] = group[side]
    return found


def _rule_type(name: str, side: str, replacing: tuple[str, ...]) -> ResourceType:
    def create(logical_id: str, props: Properties, stack_name: str) -> Made:
        rule = provisioners._ec2_sg_permissions([props])[0]
        rules = _rules(str(props.get("GroupId", "")), side)
        if rule in rules:
            raise ValueError(f"the specified rule already exists in {props.get('GroupId')} "
                             "(Service: Ec2, Error Code: InvalidPermission.Duplicate)")
        rules.append(rule)
        digest = hashlib.sha256(json.dumps([props.get("GroupId"), side, rule], sort_keys=True).encode()).hexdigest()
        identifier = f"sgr-{digest[:17]}"
        return identifier, {"Id": identifier}

    def delete(identifier: str, props: Properties) -> None:
        group = ec2._security_groups.get(str(props.get("GroupId", "")))
        if group is not None:
            rule = provisioners._ec2_sg_permissions([props])[0]
            group[side][:] = [one for one in group[side] if one != rule]

    def update(identifier: str, old: Properties, new: Properties, stack_name: str) -> Made:
        delete(identifier, old)
        _rules(str(new.get("GroupId", "")), side).append(provisioners._ec2_sg_permissions([new])[0])
        return identifier, {"Id": identifier}

    return ResourceType(name, create, delete, update, replacing=replacing, tagged=False)


def _flow_log_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    wanted = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName", "DeliverLogsPermissionArn")
    made = _call(ec2._create_flow_logs, {"ResourceId.1": str(props["ResourceId"]),
                                         **{name: str(props[name]) for name in wanted if props.get(name)}})
    identifier = made.findtext(".//flowLogIdSet/item") or ""
    _tagged(identifier, props)
    return identifier, {"Id": identifier}


def _flow_log_update(identifier: str, old: Properties, new: Properties, stack_name: str) -> Made:
    _tagged(identifier, new, old)
    return identifier, {"Id": identifier}


def _flow_log_delete(identifier: str, props: Properties) -> None:
    _call(ec2._delete_flow_logs, {"FlowLogId.1": identifier})


_RULE = ("CidrIp", "CidrIpv6", "FromPort", "GroupId", "IpProtocol", "ToPort")
TYPES = (
    ResourceType("AWS::EC2::EIP", _eip_create, _eip_delete, _eip_update, replacing=("Domain", "NetworkBorderGroup")),
    ResourceType("AWS::EC2::NatGateway", _nat_create, _nat_delete, _nat_update,
                 replacing=("AllocationId", "ConnectivityType", "PrivateIpAddress", "SubnetId")),
    _rule_type("AWS::EC2::SecurityGroupIngress", "IpPermissions",
               (*_RULE, "SourcePrefixListId", "SourceSecurityGroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId")),
    _rule_type("AWS::EC2::SecurityGroupEgress", "IpPermissionsEgress",
               (*_RULE, "DestinationPrefixListId", "DestinationSecurityGroupId")),
    ResourceType("AWS::EC2::FlowLog", _flow_log_create, _flow_log_delete, _flow_log_update, replacing=(
        "DeliverLogsPermissionArn", "LogDestination", "LogDestinationType", "LogFormat", "LogGroupName", "MaxAggregationInterval",
        "ResourceId", "ResourceType", "TrafficType")),
)


def install() -> None:
    """Register the types."""
    register(TYPES)
