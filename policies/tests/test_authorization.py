"""Every statement against the Service Authorization Reference, and wrong ones that it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from contracts import samples, templates
from contracts.authorization import Reference, check, check_required_types
from contracts.exceptions import ACCEPTED
from contracts.statements import Statement
from contracts.templates import ROOT, Template

# Policies that functions write, as their own tests compare them.
WRITTEN_BY_FUNCTIONS = ["functions/cfn-resource-policy/tests/golden/namespace-policy.json"]


def written_by_functions() -> list[Statement]:
    found = []
    for path in WRITTEN_BY_FUNCTIONS:
        for body in json.loads((ROOT / path).read_text())["Statement"]:
            text = json.dumps(body, sort_keys=True)
            found.append(Statement(path, "policy", "resource policy", (), text))
    return found


def breaches(reference: Reference, found: list[Statement]) -> list[str]:
    sentences = [it for statement in found for it in check(reference, statement)]
    return sentences + list(check_required_types(reference, found))


def test_every_statement_fits_the_reference(reference: Reference, all_statements: list[Statement]) -> None:
    assert len(all_statements) > 200, "the templates have more statements than this"
    sentences = breaches(reference, all_statements + written_by_functions())
    unexpected = [it for it in sentences if not any(accepted.covers(it) for accepted in ACCEPTED)]
    assert not unexpected, "\n".join(unexpected)
    unused = [it.pattern for it in ACCEPTED if not any(it.covers(sentence) for sentence in sentences)]
    assert not unused, f"no statement needs these exceptions any more: {unused}"


def test_every_branch_of_a_policy_is_rendered(all_templates: list[Template]) -> None:
    """Each Fn::If in a resource with statements is rendered with both of its branches."""
    missing = []
    for template in all_templates:
        visited: set[tuple[int, int]] = set()
        for _, renderer in templates.renderings(template):
            for _ in renderer.resources():
                pass
            visited |= renderer.branches
        for name, resource in template.resources.items():
            for node in _choices(resource.get("Properties", {})):
                missing += [
                    f"{template.name}: {name}: branch {branch} of {json.dumps(node)[:120]}"
                    for branch in (1, 2) if (id(node), branch) not in visited
                ]
    assert not missing, "\n".join(missing)


def _choices(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node] if "Fn::If" in node else []
        return own + [it for item in node.values() for it in _choices(item)]
    if isinstance(node, list):
        return [it for item in node for it in _choices(item)]
    return []


def test_every_sample_value_fits_its_parameter(all_templates: list[Template]) -> None:
    for template in all_templates:
        for name, parameter in template.parameters.items():
            assert samples.sample(name, parameter), f"{template.name}: {name} has an empty sample"
            assert len(samples.longest(name, parameter)) <= samples.VALUE_BYTES, (template.name, name)


def test_actions_of_this_kit_are_in_the_reference(reference: Reference) -> None:
    for action in (
        "redshift:DescribeIntegrations", "redshift:CreateIntegration", "redshift:DeleteIntegration",
        "redshift:CreateInboundIntegration", "redshift:AuthorizeInboundIntegration",
        "redshift:DescribeInboundIntegrations", "redshift:ModifyClusterIamRoles",
        "redshift-serverless:UpdateNamespace", "redshift-data:ExecuteStatement",
        "elasticache:ModifyReplicationGroup", "kafka:BatchAssociateScramSecret",
        "secretsmanager:UpdateSecretVersionStage",
    ):
        assert len(reference.actions(action)) == 1, action


def test_resource_and_format_are_compared_by_section() -> None:
    from contracts.authorization import overlaps

    bucket, objects = "arn:${Partition}:s3:::${BucketName}", "arn:${Partition}:s3:::${BucketName}/${ObjectName}"
    assert overlaps("arn:*:s3:::orders", bucket) and not overlaps("arn:*:s3:::orders", objects)
    assert overlaps("arn:*:s3:::orders/in/*", objects) and not overlaps("arn:*:s3:::orders/in/*", bucket)
    assert not overlaps("arn:aws:s3:us-east-1::orders", bucket), "a bucket's ARN has no Region"
    cluster = "arn:${Partition}:redshift:${Region}:${Account}:cluster:${ClusterName}"
    assert overlaps("arn:aws:redshift:us-east-1:123456789012:cluster:main", cluster)
    assert overlaps("arn:aws:redshift:*:123456789012:*", cluster)
    assert not overlaps("arn:aws:redshift:us-east-1:123456789012:cluster/main", cluster)
    assert not overlaps("arn:aws:redshift:us-east-1:123456789012:cluster:", cluster)
    eni = "arn:${Partition}:ec2:${Region}:${Account}:network-interface/${NetworkInterfaceId}"
    assert overlaps("arn:aws:ec2:us-east-1:123456789012:*/*", eni) and overlaps("*", eni)


# Wrong grants: a name, a change of one real statement, and a part of the sentence that names it.
# The statement is taken from the templates, so that the check is seen to accept it before.
PLANTED: list[tuple[str, str, dict[str, Any], str]] = [
    ("an action that does not exist", "copy-target/CopyRole/ReadSourceObjects",
     {"Action": "s3:GetObjects"}, "action s3:GetObjects is not in the reference"),
    ("an action of another service", "copy-target/WarehouseRoleRole/AttachToNamespace",
     {"Action": "redshift:UpdateNamespace"}, "action redshift:UpdateNamespace is not in the reference"),
    ("a service that does not exist", "copy-target/MonitorRole/FollowOwnStatements",
     {"Action": "redshiftdata:DescribeStatement"}, "the reference has no service redshiftdata"),
    ("an action in the wrong spelling", "copy-target/MonitorRole/Publish",
     {"Action": "sns:publish"}, "is spelled sns:Publish"),
    ("objects read on the bucket's ARN", "copy-target/CopyRole/ReadSourceObjects",
     {"Resource": "arn:aws:s3:::orders"}, "action s3:GetObject supports"),
    ("buckets listed on an object's ARN", "copy-target/CopyRole/ListSourceBuckets",
     {"Resource": "arn:aws:s3:::orders/*"}, "action s3:ListBucket supports"),
    ("a cluster's ARN with a slash", "copy-target/WarehouseRoleRole/AttachToCluster",
     {"Resource": "arn:aws:redshift:us-east-1:123456789012:cluster/main"},
     "action redshift:ModifyClusterIamRoles supports"),
    ("a resource for an action without types", "copy-target/MonitorRole/FollowOwnStatements",
     {"Resource": "arn:aws:redshift:us-east-1:123456789012:cluster:main"},
     'redshift-data:DescribeStatement has no resource types and needs Resource "*"'),
    ("a resource that no action supports", "copy-target/MonitorRole/LogInBySecret",
     {"Resource": ["arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf",
                   "arn:aws:kms:us-east-1:123456789012:key/1"]},
     "no action of the statement supports resource arn:aws:kms"),
    ("a condition key that does not exist", "copy-target/CopyRole/DecryptSourceObjects",
     {"Condition": {"StringEquals": {"kms:ViaServices": "s3.us-east-1.amazonaws.com"}}},
     "action kms:Decrypt has no condition key kms:ViaServices"),
    ("a condition key of another action", "copy-target/WarehouseRoleRole/StartWait",
     {"Condition": {"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}}},
     "action states:StartExecution has no condition key iam:PassedToService"),
    ("a condition operator that does not exist", "copy-target/CopyRole/ListSourceBuckets",
     {"Condition": {"StringEqual": {"aws:ResourceAccount": "123456789012"}}},
     "there is no condition operator StringEqual"),
    ("an operator of another type", "copy-source/BucketStatements/DenyPlainHttp",
     {"Condition": {"NumericEquals": {"aws:SecureTransport": "0"}}},
     "aws:SecureTransport is of type Bool, operator NumericEquals does not compare it"),
    ("several values compared as one", "copy-target/WarehouseRoleRole/TagCluster",
     {"Condition": {"StringLike": {"aws:TagKeys": "sluice:*"}}},
     "aws:TagKeys has several values, operator StringLike is for the other kind"),
    ("a principal that does not exist", "copy-target/CopyRole/RedshiftAssumesForCopy",
     {"Principal": {"Service": "redshift-spectrum.amazonaws.com"}},
     "no service has the principal redshift-spectrum.amazonaws.com"),
    ("temporary credentials without the user", "copy-target/MonitorRole/LogInAsUser",
     {"Resource": "arn:aws:redshift:us-east-1:123456789012:dbname:main/sluice"},
     "action redshift:GetClusterCredentials needs a resource of type dbuser"),
]


@pytest.mark.parametrize(("name", "statement", "change", "expected"), PLANTED, ids=[it[0] for it in PLANTED])
def test_planted_grant_is_refused(
    reference: Reference, all_statements: list[Statement], name: str, statement: str,
    change: dict[str, Any], expected: str,
) -> None:
    template, resource, sid = statement.split("/")
    place = (template, resource, sid)
    found = next(it for it in all_statements if (it.origin, it.resource, it.body.get("Sid")) == place)
    assert not breaches(reference, [found]), "the real statement is correct"
    wrong = Statement(found.origin, found.resource, found.kind, found.path, json.dumps(found.body | change))
    assert any(expected in sentence for sentence in breaches(reference, [wrong])), breaches(reference, [wrong])
