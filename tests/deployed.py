"""Compares deployed stacks with the checkout.

    deployed.py sam|text PROFILE:STACK:TEMPLATE...

Compares the template that CloudFormation received with templates/TEMPLATE.yaml, and the code of
every function with the file that was built. Packaging replaces the addresses of code and state
machines; nothing else may differ. `text` compares the rest byte for byte, `sam` compares it as
data, because `sam build` writes YAML anew. Prints the number of functions of each stack, then each
difference, and exits with 1 if there is one. Runs in the SAM CLI's Python environment.
"""

import io
import pathlib
import re
import sys
import urllib.request
import zipfile

import boto3
from samcli.yamlhelper import yaml_parse

ADDRESSES = ("CodeUri", "DefinitionUri")
ROOT = pathlib.Path(__file__).parent.parent


def as_text(text):
    return re.sub(rf"^( *(?:{'|'.join(ADDRESSES)}): ).*$", r"\1packaged", text, flags=re.MULTILINE).splitlines()


def as_data(text):
    def lines(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from lines("packaged" if key in ADDRESSES else inner, f"{path}/{key}")
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from lines(inner, f"{path}/{number}")
        else:
            yield f"{path} = {value!r}"

    template = yaml_parse(text)
    for name, resource in template["Resources"].items():
        # Added by `sam build`, for the SAM CLI's own later commands.
        if resource.get("Metadata", {}).pop("SamResourceId", name) != name:
            raise SystemExit(f"{name} has another resource's SamResourceId")
        if not resource.get("Metadata", True):
            del resource["Metadata"]
    return sorted(lines(template, ""))


def template_differences(session, mode, stack, template):
    expected = (ROOT / "templates" / f"{template}.yaml").read_text()
    cloudformation = session.client("cloudformation")
    found = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    if not isinstance(found, str):
        raise SystemExit("CloudFormation returned something else than the text that it received")
    shape = {"sam": as_data, "text": as_text}[mode]
    expected, found = shape(expected), shape(found)
    missing = [f"only in templates/{template}.yaml: {line}" for line in expected if line not in found]
    added = [f"only in stack {stack}: {line}" for line in found if line not in expected]
    if expected == found or missing or added:
        return missing + added
    return [f"stack {stack} has the lines of templates/{template}.yaml in another order"]


def code_differences(session, stack):
    functions = session.client("lambda")
    resources = session.client("cloudformation").list_stack_resources(StackName=stack)
    names = [
        resource["PhysicalResourceId"]
        for resource in resources["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::Lambda::Function"
    ]
    built = [path.read_bytes() for path in (ROOT / "target/lambda").glob("*/bootstrap")]
    for name in names:
        function = functions.get_function(FunctionName=name)
        with urllib.request.urlopen(function["Code"]["Location"]) as answer:
            archive = zipfile.ZipFile(io.BytesIO(answer.read()))
        if archive.namelist() != ["bootstrap"] or archive.read("bootstrap") not in built:
            yield f"the code of function {name} is no file of target/lambda: {archive.namelist()}"
    print(f"{stack}: {len(names)} functions")


if __name__ == "__main__":
    differences = []
    for words in sys.argv[2:]:
        profile, stack, template = words.split(":")
        session = boto3.Session(profile_name=profile)
        differences += template_differences(session, sys.argv[1], stack, template)
        differences += code_differences(session, stack)
    print("\n".join(differences))
    sys.exit(bool(differences))
