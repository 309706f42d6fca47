"""Is what CloudFormation and Lambda hold what the checkout holds?

    deployed.py sam|text STACK TEMPLATE

Compares the template that CloudFormation was given with templates/TEMPLATE.yaml, and every function's code with the file that was built.
Addresses of code and state machines are what packaging replaces; nothing else may differ. With `text` the rest is compared byte for byte;
with `sam` as data, because `sam build` writes YAML anew. Runs in the SAM CLI's own environment; says what differs and ends with 1.
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


def template_differences(mode, stack, template):
    expected = (ROOT / "templates" / f"{template}.yaml").read_text()
    found = boto3.client("cloudformation").get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    if not isinstance(found, str):
        raise SystemExit("CloudFormation answered with something else than the text it was given")
    shape = {"sam": as_data, "text": as_text}[mode]
    expected, found = shape(expected), shape(found)
    missing = [f"only in templates/{template}.yaml: {line}" for line in expected if line not in found]
    return missing + [f"only in stack {stack}: {line}" for line in found if line not in expected] + (
        [] if expected == found or missing else [f"stack {stack} has the lines of templates/{template}.yaml in another order"])


def code_differences(stack):
    functions = boto3.client("lambda")
    resources = boto3.client("cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]
    names = [resource["PhysicalResourceId"] for resource in resources if resource["ResourceType"] == "AWS::Lambda::Function"]
    built = [path.read_bytes() for path in (ROOT / "target/lambda").glob("*/bootstrap")]
    for name in names:
        function = functions.get_function(FunctionName=name)
        with urllib.request.urlopen(function["Code"]["Location"]) as answer:
            archive = zipfile.ZipFile(io.BytesIO(answer.read()))
        code = archive.read("bootstrap")
        if archive.namelist() != ["bootstrap"] or code not in built:
            yield f"the code of function {name} is no file of target/lambda: {archive.namelist()}"
    print(f"{stack}: {len(names)} functions")


if __name__ == "__main__":
    differences = template_differences(*sys.argv[1:]) + list(code_differences(sys.argv[2]))
    print("\n".join(differences))
    sys.exit(bool(differences))
