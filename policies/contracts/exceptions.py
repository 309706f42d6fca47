"""Statements that the reference does not describe and AWS accepts, each with its source.

An exception that nothing needs any more fails the tests, so that it goes when the reference is
completed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Accepted:
    """A breach that is accepted: the sentence's pattern, and the public source."""

    pattern: str
    source: str

    def covers(self, sentence: str) -> bool:
        return re.search(self.pattern, sentence) is not None


ACCEPTED = [
    Accepted(
        r"^copy-target: ResourcePolicyRole: statement MergeNamespacePolicy: "
        r"(action redshift:(Get|Put|Delete)ResourcePolicy supports .*, found|no action of the statement "
        r"supports resource) arn:[^:]*:redshift-serverless:",
        "Redshift management guide, 'Configure authorization for your Amazon Redshift data warehouse': "
        "PutResourcePolicy of Redshift takes the ARN of a Serverless namespace too; the reference lists "
        "the namespaces of clusters only",
    ),
    Accepted(
        r"^alerts-hub: \w+: action dynamodb:Query needs a resource of type table",
        "DynamoDB developer guide, 'IAM policy to read, write, update, and delete access on a table' and "
        "'IAM security policies with PartiQL': a query of an index is authorized on the index's ARN; the "
        "reference marks the table as required",
    ),
    Accepted(
        r"^alerts-spoke: DatabaseTopicPolicy: statement RedshiftPublishesAsOwner: action sns:Publish has no "
        r"condition key aws:SourceOwner",
        "SNS developer guide, 'aws:SourceAccount versus aws:SourceOwner': the older key of services that "
        "publish for a customer; it is in no table of the reference",
    ),
]
