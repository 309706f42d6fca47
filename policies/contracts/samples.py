"""Values for parameters and resources of a template that nobody has deployed."""

from __future__ import annotations

import re
from typing import Any

REGION = "us-gov-west-1"
ACCOUNT = "123456789012"
PARTITION = "aws-us-gov"
UUID = "0f4b2c1e-1111-4aaa-8bbb-0123456789ab"
# A name that CloudFormation generates ends with this.
SUFFIX = "1A2B3C4D5E6F7"
# CloudFormation allows 128 characters.
STACK = "sluice-" + "s" * 121

PSEUDO = {
    "AWS::Partition": PARTITION,
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": STACK,
    "AWS::StackId": f"arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/{UUID}",
    "AWS::URLSuffix": "amazonaws.com",
}


def arn(service: str, rest: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:{PARTITION}:{service}:{region}:{account}:{rest}"


# The property with the physical name, for the types whose names appear in ARNs.
NAME_PROPERTIES = {
    "AWS::Events::EventBus": ("Name",),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::StepFunctions::StateMachine": ("StateMachineName",),
    "AWS::Lambda::Function": ("FunctionName",),
}

# The ARN of a resource: its service and what stands after the account, with {} for its name.
ARNS = {
    "AWS::CloudTrail::Trail": ("cloudtrail", "trail/{}"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "alarm:{}"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/{}"),
    "AWS::Events::EventBus": ("events", "event-bus/{}"),
    "AWS::Events::Rule": ("events", "rule/{}"),
    "AWS::KMS::Key": ("kms", "key/" + UUID),
    "AWS::Lambda::Function": ("lambda", "function:{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::RedshiftServerless::Namespace": ("redshift-serverless", "namespace/" + UUID),
    "AWS::RedshiftServerless::Workgroup": ("redshift-serverless", "workgroup/" + UUID),
    "AWS::SNS::Topic": ("sns", "{}"),
    "AWS::SQS::Queue": ("sqs", "{}"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:{}-AbCdEf"),
    "AWS::StepFunctions::StateMachine": ("states", "stateMachine:{}"),
}
# Types whose Ref is the ARN.
REF_IS_ARN = {
    "AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::StepFunctions::StateMachine",
}
# The longest physical names that CloudFormation generates, by the service's own limit.
NAME_LIMITS = {
    "AWS::IAM::Role": 64, "AWS::Lambda::Function": 64, "AWS::Events::Rule": 64, "AWS::SQS::Queue": 80,
    "AWS::StepFunctions::StateMachine": 80, "AWS::DynamoDB::Table": 255, "AWS::S3::Bucket": 63,
    "AWS::Events::EventBus": 256, "AWS::SNS::Topic": 256, "AWS::Logs::LogGroup": 512,
    "AWS::CloudWatch::Alarm": 255,
}


def physical_name(logical: str, kind: str) -> str:
    """Returns a name as CloudFormation generates it, as long as the type allows."""
    limit = NAME_LIMITS.get(kind, 255)
    head = f"{STACK}-{logical}"[: limit - len(SUFFIX) - 1]
    name = f"{head}-{SUFFIX}"
    return name.lower() if kind == "AWS::S3::Bucket" else name


def resource_arn(logical: str, kind: str, name: str | None, path: str = "/") -> str | None:
    name = name or physical_name(logical, kind)
    if kind == "AWS::IAM::Role":
        return arn("iam", f"role{path}{name}", region="")
    if kind == "AWS::S3::Bucket":
        return arn("s3", name, region="", account="")
    if kind in ARNS:
        service, rest = ARNS[kind]
        return arn(service, rest.format(name))
    return None


def reference(logical: str, kind: str, name: str | None) -> str:
    """Returns what Ref returns for a resource."""
    found = resource_arn(logical, kind, name) if kind in REF_IS_ARN else None
    if kind == "AWS::SQS::Queue":
        found = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{physical_name(logical, kind)}"
    if kind == "AWS::KMS::Key":
        found = UUID
    return found or name or physical_name(logical, kind)


def attribute(logical: str, kind: str, name: str, named: str | None, path: str = "/") -> str:
    """Returns what Fn::GetAtt returns for a resource."""
    if name.endswith("Arn"):
        found = resource_arn(logical, kind, named, path)
        if found:
            return found
    if kind.startswith("Custom::"):
        found = CUSTOM.get((kind, name))
        if found:
            return found
    if name.endswith("Arn"):
        # A resource whose ARN no policy of ours names.
        return arn("unknown", f"{logical}/{name}")
    return f"{logical}.{name}"


# ARNs that custom resources return.
CUSTOM = {
    ("Custom::WarehouseRole", "RoleArn"): arn("iam", "role/copy", region=""),
    ("Custom::RedshiftResourcePolicy", "NamespaceArn"): arn("redshift", f"namespace:{UUID}"),
}

# A warehouse is a provisioned cluster or a Serverless workgroup. Both are rendered: the conditions
# that are false, and the parameters that then have another form.
WAREHOUSES: dict[str, tuple[set[str], dict[str, str]]] = {
    "cluster": ({"UsesWorkgroup", "HasServerlessNamespace"}, {}),
    "workgroup": ({"UsesCluster"}, {"NamespaceArn": arn("redshift-serverless", f"namespace/{UUID}")}),
}

KEY = arn("kms", f"key/{UUID}")
# A sample and the longest value of a kind, by AWS's own limits. The first kind that a parameter's
# pattern accepts is taken, so that a new parameter needs nothing here.
ROLE_PATH = "/" + "p" * 510 + "/"
KINDS: list[tuple[str, str]] = [
    (KEY, KEY),
    (arn("secretsmanager", "secret:app-AbCdEf"), arn("secretsmanager", "secret:" + "n" * 512 + "-AbCdEf")),
    (arn("iam", "role/copy", region=""), arn("iam", "role" + ROLE_PATH + "n" * 64, region="")),
    (arn("iam", "policy/boundary", region=""), arn("iam", "policy" + ROLE_PATH + "n" * 128, region="")),
    (arn("sns", "alerts"), arn("sns", "n" * 256)),
    (arn("sqs", "events"), arn("sqs", "n" * 80)),
    (arn("s3", "files", region="", account=""), arn("s3", "n" * 63, region="", account="")),
    (arn("redshift", f"namespace:{UUID}"), arn("redshift", f"namespace:{UUID}")),
    (arn("redshift-serverless", f"namespace/{UUID}"), arn("redshift-serverless", f"namespace/{UUID}")),
    (arn("redshift-serverless", f"workgroup/{UUID}"), arn("redshift-serverless", f"workgroup/{UUID}")),
    (arn("events", "event-bus/sluice"), arn("events", "event-bus/" + "n" * 256)),
    (arn("lambda", "function:consumer"), arn("lambda", "function:" + "n" * 64 + ":" + "a" * 128)),
    (arn("states", "stateMachine:consumer"), arn("states", "stateMachine:" + "n" * 80)),
    (arn("kafka", f"cluster/events/{UUID}-1"), arn("kafka", "cluster/" + "n" * 64 + f"/{UUID}-25")),
    (ACCOUNT, ACCOUNT),
    ("o-abcdefghij", "o-" + "a" * 32),
    ("sg-0123456789abcdef0", "sg-0123456789abcdef0"),
    ("subnet-0123456789abcdef0", "subnet-0123456789abcdef0"),
    ("us-gov-west-1", "us-gov-west-1"),
    ("2h", "24h"),
    ("https://api.example.com", "https://" + "n" * 247),
    ("lkc-abc12", "lkc-" + "a" * 28), ("env-abc12", "env-" + "a" * 28), ("sa-abc12", "sa-" + "a" * 29),
    ("key,secret", "k" * 64 + "," + "s" * 64),
    ("ops@example.com", "o" * 64 + "@" + "n" * 190),
    ("{}", '{"a": "' + "x" * 4087 + '"}'),
    ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
     "-----BEGIN CERTIFICATE-----\n" + "x" * 4042 + "\n-----END CERTIFICATE-----"),
    ("10.0.0.0/16", "100.100.100.0/16"),
    ("inbox/", "p" * 500 + "/"),
    ("/security/", "/" + "p" * 510 + "/"),
    ("5439", "65535"),
    ("rate(1 hour)", "rate(100000 minutes)"),
    ("sample", ""),
]
# Host names have 253 characters, names of Redshift and S3 63; the rest is bounded by the value's
# limit alone.
LONGEST_BY_NAME = {
    "AdminHost": 253, "EndpointHost": 253, "TlsServerName": 253, "BucketName": 63,
    "SourceBucket": 63, "SourceBuckets": 63,
}
# JSON in an environment is longer than its text, because quotes are escaped.
JSON_TEXTS = {"MonitorJobSettings"}
# CloudFormation's limit of a parameter's value.
VALUE_BYTES = 4096


def _matches(parameter: dict[str, Any], value: str) -> bool:
    pattern = parameter.get("AllowedPattern")
    least, most = int(parameter.get("MinLength", 0)), int(parameter.get("MaxLength", VALUE_BYTES))
    if not least <= len(value) <= most:
        return False
    return pattern is None or re.fullmatch(pattern, value) is not None


def is_list(parameter: dict[str, Any]) -> bool:
    """Returns true if Ref returns a list for a parameter of this type."""
    return str(parameter["Type"]).startswith(("CommaDelimitedList", "List<"))


def _kind(name: str, parameter: dict[str, Any]) -> tuple[str, str]:
    if not parameter.get("AllowedPattern") and not name.endswith(("Arn", "Arns")):
        return ("x", "") if int(parameter.get("MaxLength", 2)) < 2 else ("sample", "")
    # A pattern for a name accepts an account id too; "sample" is the better sample for it.
    candidates = sorted(KINDS, key=lambda kind: kind[0] != "sample") \
        if _matches(parameter, "sample") else KINDS
    for sample_value, most in candidates:
        if _matches(parameter, sample_value):
            return sample_value, most
    if parameter.get("Default"):
        return str(parameter["Default"]), ""
    raise ValueError(
        f"parameter {name}: no sample in policies/contracts/samples.py matches "
        f"{parameter.get('AllowedPattern')}; add one to KINDS")


def sample(name: str, parameter: dict[str, Any]) -> str:
    """Returns a value that is not empty and that the parameter accepts."""
    if "AllowedValues" in parameter:
        values = [str(value) for value in parameter["AllowedValues"] if str(value)]
        return str(parameter.get("Default") or values[0])
    if parameter["Type"] == "Number":
        return str(parameter.get("Default", parameter.get("MinValue", 1)))
    if parameter["Type"].startswith("AWS::") or parameter["Type"].startswith("List<"):
        return "subnet-0123456789abcdef0"
    if parameter.get("Default"):
        return str(parameter["Default"])
    return _kind(name, parameter)[0]


def longest(name: str, parameter: dict[str, Any]) -> str:
    """Returns the longest value that AWS and the parameter's own rules allow."""
    if "AllowedValues" in parameter:
        return max((str(value) for value in parameter["AllowedValues"]), key=len)
    if parameter["Type"] == "Number":
        return str(parameter.get("MaxValue", 2**31))
    if parameter["Type"].startswith("AWS::"):
        return "subnet-0123456789abcdef0"
    item = _longest_item(name, parameter)
    if not is_list(parameter) and not (":" in item and _matches(parameter, f"{item},{item}")):
        return item
    count = (VALUE_BYTES + 1) // (len(item) + 1)
    return ",".join([item] * max(count, 1))


def _longest_item(name: str, parameter: dict[str, Any]) -> str:
    if parameter["Type"].startswith("List<"):
        return "subnet-0123456789abcdef0"
    if name in JSON_TEXTS:
        count = int(parameter.get("MaxLength", VALUE_BYTES)) // len('"k":1,')
        return "{" + '"k":1,' * (count - 1) + '"k":1}'
    sample_value, most = _kind(name, parameter)
    if most:
        limit = int(parameter.get("MaxLength", VALUE_BYTES))
        # A path ends with its delimiter, also where a parameter takes fewer characters.
        return most[: limit - 1] + most[-1] if most.endswith("/") else most[:limit]
    limit = LONGEST_BY_NAME.get(name, int(parameter.get("MaxLength", VALUE_BYTES)))
    if is_list(parameter):
        # An ARN of a list with no pattern of its own; three fill the list.
        limit = min(limit, (VALUE_BYTES - 2) // 3)
    value = (sample_value[:1] * limit)[:limit]
    return value if _matches(parameter, value) else sample_value
