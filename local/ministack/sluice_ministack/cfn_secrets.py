"""AWS::SecretsManager::* in CloudFormation.

- ``Ref`` of a Secret is its ARN [page: AWS::SecretsManager::Secret, return values]; MiniStack gives
  its name.
- GenerateSecretString follows the rules of GetRandomPassword (excluded characters and kinds, each
  kind required).
- ResourcePolicy, and RotationSchedule, which rotates at once unless RotateImmediatelyOnUpdate is
  false [schema].
- SecretTargetAttachment knows AWS::Redshift::Cluster and AWS::RedshiftServerless::Namespace.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from . import cfn_types, rotation
from .cfn_types import Made, Properties, ResourceType, is_true
from .patching import Target, wrap
from .stand_in import Caller, call_json, call_query

TARGETS = (
    Target("ministack.services.secretsmanager", "_resolve", ("secret_id",)),
    Target("ministack.services.secretsmanager", "_get_random_password", ("data",)),
    Target("ministack.services.secretsmanager", "_put_resource_policy", ("data",)),
    Target("ministack.services.secretsmanager", "_delete_resource_policy", ("data",)),
    Target("ministack.services.cloudformation.provisioners", "_sm_secret_string", ("props",)),
    Target("ministack.services.cloudformation.provisioners", "_sm_target_connection", ("target_type", "target_id")),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)

_GENERATE = ("ExcludeCharacters", "ExcludeLowercase", "ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase", "IncludeSpace",
             "RequireEachIncludedType")


def _ok(answer: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer[2] or b"{}")
    if answer[0] >= 300:
        raise ValueError(f"{what}: {found.get('message') or found.get('Message')} (Service: SecretsManager)")
    return found


def _secret_string(props: Properties) -> str:
    """The value a template declares."""
    rules = props.get("GenerateSecretString")
    if props.get("SecretString") is not None or rules is None:
        return str(props.get("SecretString") or "")
    request: dict[str, Any] = {name: rules[name] if name == "ExcludeCharacters" else is_true(rules[name])
                               for name in _GENERATE if name in rules}
    request["PasswordLength"] = int(rules.get("PasswordLength", 32))
    password = str(_ok(secretsmanager._get_random_password(request), "GenerateSecretString")["RandomPassword"])
    template, key = rules.get("SecretStringTemplate"), rules.get("GenerateStringKey")
    if (template is None) != (key is None):
        raise ValueError("GenerateSecretString: SecretStringTemplate and GenerateStringKey must be given together")
    if template is None:
        return password
    try:
        value = json.loads(template)
    except ValueError:
        raise ValueError("GenerateSecretString: SecretStringTemplate must be a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("GenerateSecretString: SecretStringTemplate must be a JSON object")
    return json.dumps({**value, str(key): password})


def _name_of(physical_id: str) -> str:
    key, _ = secretsmanager._resolve(physical_id)
    return str(key or physical_id)


def _arn_of(name: str) -> str:
    _, secret = secretsmanager._resolve(name)
    return str(secret["ARN"]) if secret else name


def _secret_by_arn(handlers: dict[str, Any]) -> dict[str, Any]:
    """MiniStack's handlers of the type with the ARN as the physical id."""
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_secret(logical_id: str, props: Properties, stack_name: str) -> Made:
        name = props.get("Name")
        if name and secretsmanager._resolve(name)[1] is not None:
            raise ValueError(f"The operation failed because the secret {name} already exists. (Service: SecretsManager, "
                             "Error Code: ResourceExistsException)")
        made, attributes = create(logical_id, props, stack_name)
        return _arn_of(made), attributes

    def update_secret(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None) -> Made:
        made, attributes = update(_name_of(physical_id), old, new, stack_name, logical_id)
        return _arn_of(made), attributes

    def delete_secret(physical_id: str, props: Properties) -> None:
        delete(_name_of(physical_id), props)

    return {**handlers, "create": create_secret, "update": update_secret, "delete": delete_secret}


def _policy_put(secret_id: str, props: Properties) -> Made:
    document = props.get("ResourcePolicy", {})
    text = document if isinstance(document, str) else json.dumps(document)
    made = _ok(secretsmanager._put_resource_policy({"SecretId": secret_id, "ResourcePolicy": text}), "AWS::SecretsManager::ResourcePolicy")
    return str(made["ARN"]), {"Id": str(made["ARN"])}


def _policy_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    return _policy_put(str(props.get("SecretId")), props)


def _policy_update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Made:
    return _policy_put(physical_id, new)


def _policy_delete(physical_id: str, props: Properties) -> None:
    if secretsmanager._resolve(physical_id)[1] is not None:
        _ok(secretsmanager._delete_resource_policy({"SecretId": physical_id}), "AWS::SecretsManager::ResourcePolicy")


def _schedule_put(secret_id: str, props: Properties) -> Made:
    _, secret = secretsmanager._resolve(secret_id)
    if secret is None:
        raise ValueError("AWS::SecretsManager::RotationSchedule: Secrets Manager can't find the specified secret.")
    if props.get("HostedRotationLambda"):
        raise ValueError("AWS::SecretsManager::RotationSchedule: HostedRotationLambda is not supported by the local cloud; give "
                         "RotationLambdaARN")
    secret["RotationRules"] = props.get("RotationRules")
    if props.get("RotationLambdaARN"):
        _ok(rotation.rotate({
            "SecretId": secret["ARN"], "RotationLambdaARN": props["RotationLambdaARN"], "RotationRules": props.get("RotationRules"),
            "RotateImmediately": is_true(props.get("RotateImmediatelyOnUpdate", True))}), "AWS::SecretsManager::RotationSchedule")
    else:
        # Only a secret that a service manages rotates without a function.
        secret["RotationEnabled"] = True
    return str(secret["ARN"]), {"Id": str(secret["ARN"])}


def _schedule_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    return _schedule_put(str(props.get("SecretId")), props)


def _schedule_update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Made:
    return _schedule_put(physical_id, new)


def _schedule_delete(physical_id: str, props: Properties) -> None:
    _, secret = secretsmanager._resolve(physical_id)
    if secret is not None:
        secret["RotationEnabled"] = False
        secret["RotationRules"] = None


def _redshift_connection(target_type: str, target_id: str) -> dict[str, Any]:
    root = Caller.root(get_account_id(), get_region())
    if target_type == "AWS::Redshift::Cluster":
        cluster = call_query(root, "DescribeClusters", {"ClusterIdentifier": target_id}).find(".//Clusters/Cluster")
        if cluster is None:
            raise ValueError(f"AWS::SecretsManager::SecretTargetAttachment: cluster {target_id} not found")
        return {"engine": "redshift", "host": cluster.findtext("Endpoint/Address"),
                "port": int(cluster.findtext("Endpoint/Port") or 5439), "dbname": cluster.findtext("DBName"),
                "dbClusterIdentifier": target_id}
    namespace = call_json("redshift-serverless", root, "GetNamespace", {"namespaceName": target_id})["namespace"]
    groups = call_json("redshift-serverless", root, "ListWorkgroups", {}).get("workgroups", [])
    endpoint = next((group.get("endpoint") or {} for group in groups if group.get("namespaceName") == target_id), {})
    return {"engine": "redshift", "host": endpoint.get("address"), "port": endpoint.get("port"), "dbname": namespace.get("dbName"),
            "namespaceName": target_id}


def _connecting(original: Callable[..., Any]) -> Callable[..., Any]:
    def connection(target_type: str, target_id: str) -> Any:
        if target_type in ("AWS::Redshift::Cluster", "AWS::RedshiftServerless::Namespace"):
            return _redshift_connection(target_type, target_id)
        return original(target_type, target_id)

    return connection


TYPES = (
    ResourceType("AWS::SecretsManager::ResourcePolicy", _policy_create, _policy_delete, _policy_update, replacing=("SecretId",),
                 tagged=False),
    ResourceType("AWS::SecretsManager::RotationSchedule", _schedule_create, _schedule_delete, _schedule_update,
                 replacing=("SecretId",), tagged=False),
)


def install() -> None:
    """Register the types and correct those that MiniStack has."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::SecretsManager::Secret"] = _secret_by_arn(handlers["AWS::SecretsManager::Secret"])
    provisioners._sm_secret_string = _secret_string
    wrap(provisioners, "_sm_target_connection", _connecting)
    cfn_types.run_on_worker_thread("AWS::SecretsManager::SecretTargetAttachment")
    cfn_types.register(TYPES)
