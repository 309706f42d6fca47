"""AWS::CloudWatch::CompositeAlarm and AWS::CloudTrail::Trail in CloudFormation, and the table
properties that MiniStack drops.

Schemas of the types; AWS::DynamoDB::Table: TimeToLiveSpecification, SSESpecification and
PointInTimeRecoverySpecification. CompositeAlarm: the alarms of its rule must exist, as
PutCompositeAlarm requires. Trail: the bucket must exist and its policy must admit CloudTrail [page:
Amazon S3 bucket policy for CloudTrail].
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudtrail, cloudwatch, dynamodb
from ministack.services.cloudformation import provisioners

from . import authorization, cfn_types, s3_events
from .cfn_types import Made, Properties, ResourceType, is_true, tags_of
from .patching import Target

TARGETS = (
    *(Target("ministack.services.cloudtrail", name, ("body",)) for name in (
        "_create_trail", "_update_trail", "_delete_trail", "_start_logging", "_stop_logging", "_put_event_selectors", "_add_tags")),
    Target("ministack.services.cloudwatch", "_put_composite_alarm", ("params", "cbor_data", "is_cbor", "is_json")),
    Target("ministack.services.cloudwatch", "_delete_alarms", ("params", "cbor_data", "is_cbor", "is_json")),
    Target("ministack.services.cloudwatch", "_composite_alarms"),
    Target("ministack.services.dynamodb", "_update_ttl", ("data",)),
    Target("ministack.services.dynamodb", "_update_continuous_backups", ("data",)),
    Target("ministack.services.dynamodb", "_sse_description_from_spec", ("spec",)),
    Target("ministack.services.dynamodb", "_tables"),
    Target("ministack.services.cloudformation.provisioners", "_RESOURCE_HANDLERS"),
)


def _ok(answer: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer[2] or b"{}")
    if answer[0] >= 300:
        raise ValueError(f"{what}: {found.get('message') or found.get('Message')}")
    return found


def _composite_put(name: str, props: Properties) -> Made:
    actions = {one: [str(arn) for arn in props.get(one) or []] for one in ("AlarmActions", "OKActions", "InsufficientDataActions")}
    _ok(cloudwatch._put_composite_alarm({}, {
        "AlarmName": name, "AlarmRule": str(props.get("AlarmRule", "")), "AlarmDescription": str(props.get("AlarmDescription") or ""),
        "ActionsEnabled": is_true(props.get("ActionsEnabled", True)), **actions,
        "Tags": [{"Key": key, "Value": value} for key, value in tags_of(props).items()]}, False, True), "AWS::CloudWatch::CompositeAlarm")
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def _composite_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    return _composite_put(str(props.get("AlarmName") or provisioners._physical_name(stack_name, logical_id, max_len=255)), props)


def _composite_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    return _composite_put(name, new)


def _composite_delete(name: str, props: Properties) -> None:
    _ok(cloudwatch._delete_alarms({}, {"AlarmNames": [name]}, False, True), "AWS::CloudWatch::CompositeAlarm")


_TRAIL = ("S3BucketName", "S3KeyPrefix", "SnsTopicName", "CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn")
_TRAIL_FLAGS = ("IncludeGlobalServiceEvents", "IsMultiRegionTrail", "EnableLogFileValidation", "IsOrganizationTrail")


def _admitted(name: str, props: Properties) -> None:
    """Raise unless CloudTrail may write to the bucket."""
    bucket = str(props.get("S3BucketName", ""))
    found = s3_events.describe_bucket(bucket)
    if found is None:
        raise ValueError(f"AWS::CloudTrail::Trail: S3 bucket {bucket} does not exist! (Error Code: S3BucketDoesNotExistException)")
    arn = f"arn:aws:cloudtrail:{get_region()}:{get_account_id()}:trail/{name}"
    prefix = f"{props['S3KeyPrefix']}/" if props.get("S3KeyPrefix") else ""
    wanted = (("s3:GetBucketAcl", f"arn:aws:s3:::{bucket}"),
              ("s3:PutObject", f"arn:aws:s3:::{bucket}/{prefix}AWSLogs/{get_account_id()}/CloudTrail/{get_region()}/x"))
    context = {"aws:SourceArn": arn, "aws:SourceAccount": get_account_id(), "s3:x-amz-acl": "bucket-owner-full-control"}
    if not all(authorization.for_service("cloudtrail.amazonaws.com", action, resource, context, found["policy"]).allowed
               for action, resource in wanted):
        raise ValueError(f"AWS::CloudTrail::Trail: Incorrect S3 bucket policy is detected for bucket: {bucket} "
                         "(Error Code: InsufficientS3BucketPolicyException)")


def _trail_settings(name: str, props: Properties) -> None:
    if props.get("EventSelectors") or props.get("AdvancedEventSelectors"):
        kind = "EventSelectors" if props.get("EventSelectors") else "AdvancedEventSelectors"
        _ok(cloudtrail._put_event_selectors({"TrailName": name, kind: props[kind]}), "AWS::CloudTrail::Trail")
    work = cloudtrail._start_logging if is_true(props.get("IsLogging", True)) else cloudtrail._stop_logging
    _ok(work({"Name": name}), "AWS::CloudTrail::Trail")


def _trail_request(name: str, props: Properties) -> dict[str, Any]:
    return {"Name": name, **{one: str(props[one]) for one in _TRAIL if props.get(one)},
            **{one: is_true(props[one]) for one in _TRAIL_FLAGS if one in props},
            **({"KmsKeyId": str(props["KMSKeyId"])} if props.get("KMSKeyId") else {})}


def _trail_create(logical_id: str, props: Properties, stack_name: str) -> Made:
    name = str(props.get("TrailName") or provisioners._physical_name(stack_name, logical_id, max_len=128))
    _admitted(name, props)
    arn = str(_ok(cloudtrail._create_trail(_trail_request(name, props)), "AWS::CloudTrail::Trail")["TrailARN"])
    if tags_of(props):
        _ok(cloudtrail._add_tags({"ResourceId": arn, "TagsList": [{"Key": key, "Value": value} for key, value in tags_of(props).items()]}),
            "AWS::CloudTrail::Trail")
    _trail_settings(name, props)
    return name, {"Arn": arn, "SnsTopicArn": ""}


def _trail_update(name: str, old: Properties, new: Properties, stack_name: str) -> Made:
    _admitted(name, new)
    arn = str(_ok(cloudtrail._update_trail(_trail_request(name, new)), "AWS::CloudTrail::Trail")["TrailARN"])
    _trail_settings(name, new)
    return name, {"Arn": arn, "SnsTopicArn": ""}


def _trail_delete(name: str, props: Properties) -> None:
    cloudtrail._delete_trail({"Name": name})


def _table_settings(name: str, props: Properties) -> None:
    life = props.get("TimeToLiveSpecification")
    if life:
        _ok(dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": {
            "AttributeName": life.get("AttributeName"), "Enabled": is_true(life.get("Enabled"))}}), "AWS::DynamoDB::Table")
    recovery = props.get("PointInTimeRecoverySpecification")
    if recovery:
        _ok(dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": is_true(recovery.get("PointInTimeRecoveryEnabled"))}}), "AWS::DynamoDB::Table")
    encryption = props.get("SSESpecification")
    # CloudFormation spells SSEEnabled what the API spells Enabled.
    dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(
        {"Enabled": is_true(encryption.get("SSEEnabled")), **{key: value for key, value in encryption.items() if key != "SSEEnabled"}}
        if encryption else None)


def _whole_table(handlers: dict[str, Any]) -> dict[str, Any]:
    create, update = handlers["create"], handlers["update"]

    def create_table(logical_id: str, props: Properties, stack_name: str) -> Made:
        name, attributes = create(logical_id, props, stack_name)
        _table_settings(name, props)
        return name, attributes

    def update_table(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None) -> Made:
        ours = ("SSESpecification",)
        name, attributes = update(physical_id, {key: value for key, value in old.items() if key not in ours},
                                  {key: value for key, value in new.items() if key not in ours}, stack_name, logical_id)
        if old.get("TimeToLiveSpecification") and not new.get("TimeToLiveSpecification"):
            _table_settings(name, {**new, "TimeToLiveSpecification": {**old["TimeToLiveSpecification"], "Enabled": False}})
        else:
            _table_settings(name, new)
        return name, attributes

    return {**handlers, "create": create_table, "update": update_table}


TYPES = (
    ResourceType("AWS::CloudWatch::CompositeAlarm", _composite_create, _composite_delete, _composite_update, replacing=("AlarmName",)),
    ResourceType("AWS::CloudTrail::Trail", _trail_create, _trail_delete, _trail_update, replacing=("TrailName",)),
)


def install() -> None:
    """Register the types and add the table's missing properties."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::DynamoDB::Table"] = _whole_table(handlers["AWS::DynamoDB::Table"])
    cfn_types.register(TYPES)
