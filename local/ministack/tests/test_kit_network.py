"""The network template with NAT gateways, endpoints, flow logs and two zones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import REGION, Gateway
from kit import KitStack, template

# Services that a function of the kit calls from a subnet without NAT.
SERVICES = ["elasticache", "kafka", "kms", "logs", "redshift", "redshift-data", "redshift-serverless", "secretsmanager", "states", "sts"]


def of_vpc(found: list[dict[str, Any]], vpc: str) -> list[dict[str, Any]]:
    return [one for one in found if one["VpcId"] == vpc]


def routes(gateway: Gateway, stack: KitStack, zone: str) -> list[str]:
    """NAT gateways of a zone's private route table."""
    table = gateway.client("ec2").describe_route_tables(RouteTableIds=[stack.physical(f"PrivateRouteTable{zone}")])["RouteTables"][0]
    return [one["NatGatewayId"] for one in table["Routes"] if one.get("NatGatewayId")]


def test_network_with_endpoints_and_flow_logs_deploys(gateway: Gateway) -> None:
    ec2 = gateway.client("ec2")
    with KitStack(gateway, "gw-net-endpoints", "network") as stack:
        stack.made(NatGateways="none", InterfaceEndpoints="true", FlowLogs="true", VpcCidr="10.9.0.0/20", SubnetHostBits="8")
        outputs = stack.outputs()
        endpoints = of_vpc(ec2.describe_vpc_endpoints()["VpcEndpoints"], outputs["VpcId"])
        interfaces = [one for one in endpoints if one["VpcEndpointType"] == "Interface"]
        assert sorted(one["ServiceName"].removeprefix(f"com.amazonaws.{REGION}.") for one in interfaces) == SERVICES
        private = outputs["PrivateSubnetIds"].split(",")
        assert len(private) == 3 and all(sorted(one["SubnetIds"]) == sorted(private) for one in interfaces)
        subnets = of_vpc(ec2.describe_subnets()["Subnets"], outputs["VpcId"])
        assert sorted(one["CidrBlock"] for one in subnets) == [f"10.9.{number}.0/24" for number in range(6)]
        flow = ec2.describe_flow_logs(FlowLogIds=[stack.physical("FlowLog")])["FlowLogs"][0]
        assert (flow["ResourceId"], flow["LogDestination"]) == (outputs["VpcId"], stack.physical("FlowLogGroup"))
        assert not [routes(gateway, stack, zone) for zone in "ABC" if routes(gateway, stack, zone)]
        assert stack.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize(("nat", "zones", "gateways"), [("single", "3", 1), ("zone", "3", 3), ("zone", "2", 2), ("single", "2", 1)])
def test_private_subnets_go_through_their_nat_gateway(gateway: Gateway, nat: str, zones: str, gateways: int) -> None:
    with KitStack(gateway, f"gw-net-{nat}-{zones}", "network") as stack:
        stack.made(NatGateways=nat, ZoneCount=zones)
        outputs = stack.outputs()
        assert len(outputs["PrivateSubnetIds"].split(",")) == len(outputs["PublicSubnetIds"].split(",")) == int(zones)
        used = [routes(gateway, stack, zone) for zone in "ABC"[:int(zones)]]
        assert all(len(one) == 1 for one in used) and len({one[0] for one in used}) == gateways
        there = gateway.client("ec2").describe_nat_gateways(NatGatewayIds=sorted({one[0] for one in used}))["NatGateways"]
        assert {one["SubnetId"] for one in there} <= set(outputs["PublicSubnetIds"].split(","))


@pytest.mark.parametrize("zones", ["2", "3"])
def test_region_with_two_zones_has_all_subnets_that_were_asked_for(gateway: Gateway, zones: str) -> None:
    two = json.loads(json.dumps(template("network")).replace('{"Fn::GetAZs": ""}', f'["{REGION}a", "{REGION}b"]'))
    with KitStack(gateway, f"gw-net-two-{zones}", "network") as stack:
        found = stack.deploy(two, NatGateways="none", ZoneCount=zones)
        assert found["StackStatus"] == "CREATE_COMPLETE", stack.failures()
        subnets = of_vpc(gateway.client("ec2").describe_subnets()["Subnets"], stack.outputs()["VpcId"])
        assert {one["AvailabilityZone"] for one in subnets} == {f"{REGION}a", f"{REGION}b"}
        assert len(subnets) == 2 * int(zones)
