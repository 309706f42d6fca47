"""The execution role that Lambda checks when a function is made or changed.

- A function with a VPC: Lambda makes and removes network interfaces with the function's role, and
  refuses a role that may not. ``DeleteNetworkInterface`` needs "a unique resource ID, or all
  resource IDs, for example arn:aws:ec2:us-west-2:123456789012:*/*"; ``Describe…`` works only on
  ``*`` [page: configuration-vpc of the Lambda guide; the managed policy
  AWSLambdaVPCAccessExecutionRole has all six actions]. A role that names ``network-interface/*`` and
  ``subnet/*`` is refused with "does not have permissions to call DeleteNetworkInterface on EC2"
  [hashicorp/terraform-provider-aws#20698]. Here every writing action must be allowed on ``*/*``.
- A function whose environment has a customer managed key: the role must be allowed ``kms:Decrypt``
  by its own policies and the key's. On AWS a function that may not is made and its invocations fail
  with KMSAccessDeniedException [model lambda, Invoke]; here it is refused when it is made, which is
  stricter.

MiniStack takes any role, and drops ``VpcConfig`` and ``KmsKeyArn`` of AWS::Lambda::Function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from . import authorization, encryption_keys
from .patching import Target, wrap
from .redshift_actions import partition

TARGETS = (
    Target("ministack.services.lambda_svc", "_create_function", ("data",)),
    Target("ministack.services.lambda_svc", "_update_config", ("name", "data")),
    Target("ministack.services.lambda_svc", "_vpc_config_with_id", ("request_config",)),
    Target("ministack.services.lambda_svc", "_functions"),
    Target("ministack.services.cloudformation.provisioners", "_lambda_create", ("logical_id", "props", "stack_name")),
    Target("ministack.services.cloudformation.provisioners", "_lambda_update"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
    Target("ministack.core.responses", "error_response_json"),
)

_WRITES = ("CreateNetworkInterface", "DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")
_READS = ("DescribeNetworkInterfaces", "DescribeSubnets")
_SESSION = "lambda"
_FUNCTION = "AWS::Lambda::Function"


def problem(role: str, network: dict[str, Any] | None, key: str) -> str | None:
    """Return Lambda's message for a role that lacks a permission, or ``None``."""
    if network and network.get("SubnetIds"):
        everything = f"arn:{partition(get_region())}:ec2:{get_region()}:{get_account_id()}:*/*"
        needed = [(action, everything) for action in _WRITES] + [(action, "*") for action in _READS]
        for action, resource in needed:
            if not authorization.for_role(role, _SESSION, f"ec2:{action}", resource).allowed:
                return f"The provided execution role does not have permissions to call {action} on EC2"
    if key:
        found, policy = encryption_keys.lookup(key, key)
        if not found:
            return f"Lambda was unable to configure access to your environment variables because the KMS key {key} does not exist"
        decision = authorization.for_role(role, _SESSION, "kms:Decrypt", key, policy)
        if not decision.allowed:
            return f"Lambda was unable to decrypt the environment variables because KMS access was denied: {decision.message}"
    return None


def _creating(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_function(data: dict[str, Any]) -> Any:
        refused = problem(str(data.get("Role", "")), data.get("VpcConfig"), str(data.get("KMSKeyArn") or ""))
        return error_response_json("InvalidParameterValueException", refused, 400) if refused else original(data)

    return create_function


def _updating(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_config(name: str, data: dict[str, Any]) -> Any:
        config = lambda_svc._functions[name]["config"] if name in lambda_svc._functions else {}
        merged = {**config, **data}
        refused = problem(str(merged.get("Role", "")), merged.get("VpcConfig"), str(merged.get("KMSKeyArn") or ""))
        return error_response_json("InvalidParameterValueException", refused, 400) if refused else original(name, data)

    return update_config


def _checked(props: dict[str, Any]) -> None:
    refused = problem(str(props.get("Role", "")), props.get("VpcConfig"), str(props.get("KmsKeyArn") or ""))
    if refused:
        raise ValueError(f"{refused} (Service: Lambda, Status Code: 400)")


def _kept(name: str, props: dict[str, Any]) -> None:
    config = lambda_svc._functions[name]["config"]
    config["VpcConfig"] = lambda_svc._vpc_config_with_id(props.get("VpcConfig"))
    config["KMSKeyArn"] = str(props.get("KmsKeyArn") or "")


def _stack_creates(original: Callable[..., Any]) -> Callable[..., Any]:
    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        _checked(props)
        made = original(logical_id, props, stack_name)
        _kept(made[0], props)
        return made

    return create


def _stack_updates(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(physical_id: str, old_props: dict[str, Any], new_props: dict[str, Any], *rest: Any, **more: Any) -> Any:
        _checked(new_props)
        made = original(physical_id, old_props, new_props, *rest, **more)
        _kept(made[0], new_props)
        return made

    return update


def install() -> None:
    """Check roles, and keep what a template says about network and key."""
    wrap(lambda_svc, "_create_function", _creating)
    wrap(lambda_svc, "_update_config", _updating)
    handlers = provisioners._RESOURCE_HANDLERS[_FUNCTION]
    handlers["create"] = _stack_creates(handlers["create"])
    handlers["update"] = _stack_updates(handlers["update"])
