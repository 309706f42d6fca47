"""Compares the commands of the checks of `make verify-aws` with the AWS CLI and its service models.

    verify-aws --commands | verify_commands.py [--templates]

Runs each command of the AWS CLI in this process up to the request, which is not sent: the CLI itself
rejects unknown operations, options and values, the parameters are compared with the service's model
by the contracts of the local cloud, and the `--query` is applied to an answer that is made from the
model. With --templates, cfn-lint checks the templates, which takes half a minute. Prints each difference and the number of commands; exits
with 1 if there is a difference. Runs in the SAM CLI's Python environment.
"""

import collections
import contextlib
import datetime
import decimal
import functools
import io
import json
import os
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "local" / "ministack"))
os.environ.update(AWS_ACCESS_KEY_ID="sample", AWS_SECRET_ACCESS_KEY="sample", AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="",
                  AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)

import awscli.clidriver  # noqa: E402
import botocore.response  # noqa: E402
from sluice_ministack.contracts.check import problems_of  # noqa: E402
from sluice_ministack.contracts.model import Service  # noqa: E402

# Long enough for every ARN and id.
SAMPLE = "sample-of-a-value-that-a-check-fills-in-later"
WAREHOUSE = ["--cluster-identifier", SAMPLE, "--database", SAMPLE, "--secret-arn", SAMPLE]


class AnyKey(dict):
    """A map that has every key."""

    def get(self, key, default=None):
        return next(iter(self.values()), default)


# JMESPath knows the types of values by their names.
AnyKey.__name__ = "dict"


def answer(shape, inside=()):
    """An answer that has each member of the shape once."""
    if shape is None or shape.name in inside:
        return None
    inside = (*inside, shape.name)
    kind = shape.type_name
    if kind == "structure":
        return {name: answer(member, inside) for name, member in shape.members.items()}
    if kind == "list":
        return [answer(shape.member, inside)]
    if kind == "map":
        return AnyKey({SAMPLE: answer(shape.value, inside)})
    if kind == "string":
        return (getattr(shape, "enum", None) or [SAMPLE])[0]
    if kind == "blob":
        return b"{}"
    if kind == "timestamp":
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return {"boolean": True, "float": 1.0, "double": 1.0}.get(kind, 1)


def comparable(value):
    """Parameters as the contracts read them from a request."""
    if isinstance(value, dict):
        return {name: comparable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [comparable(one) for one in value]
    return float(value) if isinstance(value, decimal.Decimal) else value


class Commands:
    """The AWS CLI up to its requests."""

    def __init__(self):
        self.driver = awscli.clidriver.create_clidriver()
        self.problems = []
        self.requests = 0
        # A client is made for each command otherwise, which takes most of the time.
        self.driver.session.create_client = functools.lru_cache(self.driver.session.create_client)
        self.driver.session.register("before-parameter-build", self.compare)
        self.driver.session.register("before-call", self.reply)

    def compare(self, params, model, **_):
        service = self.service(model.service_model.service_name)
        operation = service.operation(model.name)
        if operation.input is None:
            return
        for problem in problems_of(to_wire(comparable(params), operation.input), operation.input):
            # A sample is not a real ARN or id.
            if SAMPLE not in problem.found and "characters" not in problem.found:
                self.problems.append(f"{model.name}: {problem.member}: {problem.found}, expected {problem.expected}")

    def service(self, name, known={}):  # noqa: B006 (a cache)
        if name not in known:
            known[name] = Service(name, self.driver.session.get_component("data_loader").load_service_model(name, "service-2"))
        return known[name]

    def reply(self, model, **_):
        self.requests += 1
        status = collections.namedtuple("Status", "status_code")(200)
        found = answer(model.output_shape) or {}
        if model.has_streaming_output:
            found[model.output_shape.serialization["payload"]] = botocore.response.StreamingBody(io.BytesIO(b"{}"), 2)
        # Without the tokens of a further page.
        for name in [name for name in found if re.search(r"^(next|continuation)|token$|marker$", name, re.IGNORECASE)]:
            if name not in ("ClientRequestToken",):
                del found[name]
        return status, found

    def run(self, words):
        """Runs a command and returns what is wrong with it."""
        if words[1] == "s3":
            # Its commands are the CLI's own; they are run against the local cloud.
            return [] if words[2] in ("cp", "mb", "rb", "rm") else [f"there is no command aws s3 {words[2]}"]
        if words[2] == "wait":
            known = self.driver.session.get_waiter_model(words[1]).waiter_names
            return [] if words[3].replace("-", "") in {name.lower() for name in known} else [f"there is no waiter {words[3]}"]
        words = [re.sub(r"\[\?[^\]]*\]", "[*]", word) for word in words]
        self.problems = []
        requests = self.requests
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                status = self.driver.main([*words[1:], "--region", "us-east-1", "--output", "json"])
            except SystemExit as exit_:
                status = exit_.code
        if status != 0:
            return [errors.getvalue().strip().splitlines()[-1]]
        if self.requests == requests:
            return ["no request"]
        if "--query" in words and out.getvalue().strip() in ("", "null"):
            return [f"the answer has nothing for --query {words[words.index('--query') + 1]}"]
        return self.problems


def to_wire(value, shape):
    """Names of the API as names on the wire."""
    if shape.kind == "structure" and isinstance(value, dict) and not shape.document:
        members = shape.by_name
        return {members[name].wire if name in members else name: to_wire(one, members[name].shape) if name in members else one
                for name, one in value.items()}
    if shape.kind == "list" and isinstance(value, list):
        return [to_wire(one, shape.member.shape) for one in value]
    if shape.kind == "map" and isinstance(value, dict):
        return {name: to_wire(one, shape.value.shape) for name, one in value.items()}
    return value


def filled(word, files):
    """A word with a sample for each variable."""
    def value(found):
        name = found[1]
        if name.startswith("file."):
            return files[name[5:]]
        if name.startswith("account."):
            return "111111111111"
        return {"region": "us-east-1", "partition": "aws"}.get(name, SAMPLE)
    return re.sub(r"\$\{([\w.-]+)\}", value, word)


def main():
    lint = None
    if "--templates" in sys.argv:
        from cfnlint.api import lint_all as lint
    commands = Commands()
    problems, done, templates = [], set(), set()
    with tempfile.TemporaryDirectory() as folder:
        for check in json.load(sys.stdin):
            files = {}
            for name, contents in check["files"].items():
                path = pathlib.Path(folder, f"{check['check']}.{name}")
                path.write_text(contents, encoding="utf-8")
                files[name] = str(path)
                if "Resources:" in contents and contents not in templates:
                    templates.add(contents)
                    found = lint(contents) if lint else []
                    problems += [f"{check['check']}: {name}: {match}" for match in found if match.rule.id.startswith("E")]
            for words in check["commands"]:
                if words[0] != "aws":
                    continue
                words = [more for word in words for more in (WAREHOUSE if word == "@warehouse" else [filled(word, files)])]
                # Checks have many commands in common.
                same = tuple(word for word in words if not word.startswith("file://"))
                if same in done:
                    continue
                done.add(same)
                problems += [f"{check['check']}: {' '.join(words[:3])}: {problem}" for problem in commands.run(words)]
    print("\n".join([*problems, f"{len(done)} commands, {len(templates)} templates"]))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
