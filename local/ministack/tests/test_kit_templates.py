"""What holds for every template of the kit: variables that can be set, order of resources, lists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kit import NAMES, ROOT, source

READS = re.compile(
    r'(?:env|Env::process\(\))\s*\.\s*(?:optional|required|required_as|parsed|duration|flag|list)(?:::<[^>]*>)?\(\s*"([A-Z][A-Z0-9_]+)"'
    r'|: &str = "(ALLOWED_[A-Z_]+)"'
    r'|let name = "([A-Z][A-Z0-9_]+)"'
    r'|(?:seconds|hours|choice)\((?:env, )?"([A-Z][A-Z0-9_]+)"')
# Set by Lambda itself (AWS Lambda guide, Defined runtime environment variables); AWS_LAMBDA_LOG_LEVEL
# by LoggingConfig. AWS_ENDPOINT_URL is for the local cloud.
OF_LAMBDA = re.compile(r"AWS_[A-Z_]+")
PASSWORDS = ["rotation-sql", "rotation-redshift", "rotation-kafka", "rotation-msk", "rotation-elasticache"]
# Where code runs: the beginning of a path, and the templates of the functions that contain it. The
# longest one that fits counts.
RUNS_IN = {
    "functions/cfn-bucket-policy/": ["copy-source"], "functions/cfn-event-integration/": ["copy-source"],
    "functions/cfn-copy-job/": ["copy-job"], "functions/cfn-resource-policy/": ["copy-target"],
    "functions/cfn-warehouse-role/": ["copy-target"], "functions/cfn-warehouse-user/": ["copy-target"],
    "functions/cfn-secret-endpoint/": ["warehouse"],
    "functions/check-copy-jobs/": ["copy-target"], "functions/check-secrets/": ["alerts-hub"], "functions/on-": ["alerts-hub"],
    "functions/rotate-postgres/": ["rotation-sql"], "functions/rotate-mysql/": ["rotation-sql"],
    "functions/rotate-redshift/": ["rotation-redshift"], "functions/rotate-kafka/": ["rotation-kafka"],
    "functions/rotate-elasticache/": ["rotation-elasticache"], "functions/rotate-msk/": ["rotation-msk"],
    "functions/rotate-api-key/": ["rotation-api-key"],
    "crates/alerts/": ["alerts-hub", "copy-target"], "crates/copy-monitor/": ["copy-target"], "crates/secret-check/": ["alerts-hub"],
    "crates/custom-resource/": ["copy-source", "copy-target", "copy-job", "warehouse"],
    "crates/lambda-kit/": [name for name in NAMES if name not in ("network", "alerts-spoke", "rotation-consumers")],
    "crates/warehouse/": ["copy-source", "copy-target", "copy-job", "warehouse"],
    "crates/rotation/src/": PASSWORDS, "crates/rotation/src/engines/trust.rs": [*PASSWORDS, "rotation-api-key"],
    "crates/rotation/src/keys/": ["rotation-api-key"], "crates/rotation/src/msk/": ["rotation-msk"],
    "crates/rotation/src/engines/kafka/": ["rotation-kafka"], "crates/rotation/src/engines/redshift/": ["rotation-redshift"],
    "crates/rotation/src/engines/elasticache/": ["rotation-elasticache"], "crates/rotation/src/engines/mysql/": ["rotation-sql"],
}
# A variable, a template that need not set it, and the reason.
NOT_FOR = {
    ("ROTATION_STRATEGY", "rotation-msk"): "clients of MSK take a new user by a new secret; the function has no strategy",
    ("ROTATION_STRATEGY", "rotation-elasticache"): "users of ElastiCache cannot alternate",
    ("ADMIN_SECRET_ARN", "rotation-msk"): "MSK itself applies the secret",
    ("ADMIN_SECRET_ARN", "rotation-elasticache"): "the ElastiCache API changes the password",
    ("ADMIN_HOST", "rotation-msk"): "MSK itself applies the secret",
    ("ADMIN_HOST", "rotation-elasticache"): "the ElastiCache API changes the password",
    ("IGNORE_SSL_FALSE", "rotation-msk"): "the secret of MSK has no key ssl",
    ("TLS_SERVER_NAME", "rotation-api-key"): "refused by the function, which calls several hosts",
    **{("RETIRE_AFTER_MINUTES", f"rotation-{engine}"): "only ElastiCache keeps a previous password that an event removes"
       for engine in ("kafka", "msk", "redshift", "sql")},
    ("ALLOWED_CLUSTERS", "copy-source"): "the source account's functions know the warehouse by its namespace",
    ("ALLOWED_WORKGROUPS", "copy-source"): "the source account's functions know the warehouse by its namespace",
}


def read_by_code() -> dict[str, set[str]]:
    """The variables that code of the functions reads, with the templates in which it runs."""
    found_in: dict[str, set[str]] = {}
    for path in [*ROOT.glob("functions/*/src/**/*.rs"), *ROOT.glob("crates/*/src/**/*.rs")]:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text().split("#[cfg(test)]")[0]
        names = {one for found in READS.findall(text) for one in found} - {""}
        wanted = {one for one in names if not OF_LAMBDA.fullmatch(one)}
        if not wanted or path.name.startswith("tests"):
            continue
        homes = [start for start in RUNS_IN if name.startswith(start)]
        assert homes, f"{name} reads {sorted(wanted)}: add to RUNS_IN the templates in which it runs"
        for one in wanted:
            found_in.setdefault(one, set()).update(RUNS_IN[max(homes, key=len)])
    return found_in


def set_by(name: str) -> set[str]:
    """The variables that a template sets."""
    read = source(name)
    blocks = [read.get("Globals", {}).get("Function", {}), *(one.get("Properties", {}) for one in read["Resources"].values())]
    return {variable for one in blocks for variable in (one.get("Environment") or {}).get("Variables", {})}


def test_every_variable_that_code_reads_can_be_set_by_its_template() -> None:
    read = read_by_code()
    assert len(read) > 50, sorted(read)
    missing = sorted(f"{name}: {variable}" for variable, homes in read.items() for name in homes
                     if variable not in set_by(name) and (variable, name) not in NOT_FOR)
    assert missing == []


def test_every_variable_of_a_template_is_read_by_code() -> None:
    read = read_by_code()
    unread = sorted(f"{name}: {variable}" for name in NAMES for variable in set_by(name) if variable not in read)
    assert unread == []


@pytest.mark.parametrize("name", NAMES)
def test_limits_of_invocations_exist_before_and_after_custom_resources(name: str) -> None:
    """SAM makes a resource FunctionEventInvokeConfig of EventInvokeConfig, on which nothing depends by itself."""
    for logical_id, one in source(name)["Resources"].items():
        if not one["Type"].startswith("Custom::"):
            continue
        function = one["Properties"]["ServiceToken"]["Fn::GetAtt"][0]
        depends = one.get("DependsOn") or []
        assert f"{function}EventInvokeConfig" in ([depends] if isinstance(depends, str) else depends), logical_id


def uses(node: Any, function: str) -> list[str]:
    """The parameters on which an intrinsic function is used, directly."""
    if isinstance(node, list):
        return [found for one in node for found in uses(one, function)]
    if not isinstance(node, dict):
        return []
    of_this = [one["Ref"] for one in node.get(function) or [] if isinstance(one, dict) and "Ref" in one]
    return of_this + [found for one in node.values() for found in uses(one, function)]


@pytest.mark.parametrize("name", NAMES)
def test_no_element_is_taken_out_of_a_list_that_may_be_empty(name: str) -> None:
    """An empty CommaDelimitedList has no element: Fn::Select fails, Fn::Contains never finds ""."""
    read = source(name)
    empty = {one for one, words in read.get("Parameters", {}).items()
             if words["Type"] in ("CommaDelimitedList", "List<Number>") and words.get("Default") == ""}
    parts = {key: value for key, value in read.items() if key != "Parameters"}
    assert not [one for function in ("Fn::Select", "Fn::Contains") for one in uses(parts, function) if one in empty]


@pytest.mark.parametrize("name", NAMES)
def test_every_role_of_a_function_may_decrypt_its_environment(name: str) -> None:
    read = source(name)
    functions = {key: one["Properties"] for key, one in read["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}
    if not functions:
        return
    everywhere = read.get("Globals", {}).get("Function", {}).get("KmsKeyArn")
    for key, properties in functions.items():
        assert "HasEnvironmentKey" in json.dumps(properties.get("KmsKeyArn", everywhere)), key
        role = read["Resources"][properties["Role"]["Fn::GetAtt"][0]]
        statements = [one for policy in role["Properties"]["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        assert [one for one in statements if one.get("Fn::If", [""])[0] == "HasEnvironmentKey"
                and one["Fn::If"][1]["Action"] == "kms:Decrypt"], key
