"""scripts/deploy with stand-ins for `aws` and `sam`: what it reads, what it hands on, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROTATIONS = ("rotation-sql", "rotation-redshift", "rotation-kafka", "rotation-msk", "rotation-elasticache", "rotation-api-key")
STACKS = ("network", "warehouse", "target", "source", "job", *ROTATIONS, "consumers", "hub", "spoke")

# Both write down what they were called with; `aws` answers from stacks.json, as `--output text` would.
AWS = '''#!{python}
import json, os, sys
words = sys.argv[1:]
here = os.environ["STAND_IN"]
with open(here + "/aws.log", "a") as log:
    log.write(json.dumps(words) + "\\n")
profile = words[words.index("--profile") + 1] if "--profile" in words else "default"
with open(here + "/stacks.json") as file:
    world = json.load(file)
if words[:3] == ["configure", "get", "region"]:
    region = world["regions"].get(profile)
    if not region:
        sys.exit(1)
    print(region)
elif words[:3] == ["configure", "get", "endpoint_url"]:
    if "endpoint" not in world:
        sys.exit(1)
    print(world["endpoint"])
elif "get-caller-identity" in words:
    arn = "arn:" + world.get("partition", "aws") + ":iam::" + world["accounts"][profile] + ":user/somebody"
    print(arn if "Arn" in words else world["accounts"][profile])
elif "describe-stacks" in words:
    name = words[words.index("--stack-name") + 1]
    stack = world["stacks"].get(profile + "/" + name)
    if stack is None:
        print("An error occurred (ValidationError) when calling the DescribeStacks operation: "
              f"Stack with id {{name}} does not exist", file=sys.stderr)
        sys.exit(254)
    print(stack["status"])
    for key, value in stack["outputs"].items():
        print(key + "\\t" + value)
elif "describe-stack-events" in words:
    events = world.get("events", [])
    if "--no-paginate" in words:
        print(events[0][0] if events else None)
    else:
        for event in events:
            print("event", *event, sep="\\t")
elif "delete-stack" in words:
    del world["stacks"][profile + "/" + words[words.index("--stack-name") + 1]]
    with open(here + "/stacks.json", "w") as file:
        json.dump(world, file)
'''
SAM = '''#!{python}
import json, os, sys
words = sys.argv[1:]
parameters = None
if "--parameter-overrides" in words:
    with open(words[words.index("--parameter-overrides") + 1].removeprefix("file://")) as file:
        parameters = file.read()
here = os.environ["STAND_IN"]
with open(here + "/sam.log", "a") as log:
    log.write(json.dumps({{"words": words, "parameters": parameters}}) + "\\n")
with open(here + "/stacks.json") as file:
    world = json.load(file)
if words[0] == "deploy" and "failure" in world:
    world["events"] = world["failure"] + world.get("events", [])
    with open(here + "/stacks.json", "w") as file:
        json.dump(world, file)
    sys.exit(3)
'''

NETWORK = {"VpcId": "vpc-1", "PublicSubnetIds": "subnet-9", "PrivateSubnetIds": "subnet-1,subnet-2"}
CLUSTER = {"ClusterIdentifier": "main", "NamespaceArn": "arn:ns", "Database": "dev", "SecretArn": "arn:secret", "Port": "5439"}
WORKGROUP = {"WorkgroupName": "wg", "WorkgroupArn": "arn:wg", "NamespaceArn": "arn:ns", "Database": "dev", "SecretArn": "arn:secret"}
TARGET = {"NamespaceArn": "arn:ns", "CopyRoleArn": "arn:role", "ClusterIdentifier": "main", "LoaderSecretArn": "arn:loader"}
HUB = {"BusArn": "arn:bus", "ReaderRoleArns": "arn:one,arn:two", "ReadRoleName": "reader", "TopicArn": "arn:topic", "TopicKeyArn": "arn:key",
       "FallbackTopicArn": "arn:second"}
SOURCE = {"BucketName": "files", "Prefix": "in/", "IntegrationArn": "arn:integration"}


class Deployment:
    """A checkout with the script, the two stand-ins and the stacks that are there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world: dict[str, Any] = {
            "regions": {"source": "eu-central-1", "target": "eu-central-1", "second": "eu-central-1"},
            "accounts": {"source": "111111111111", "target": "222222222222", "second": "333333333333"},
            "stacks": {},
        }
        (folder / "scripts").mkdir()
        for name in ("deploy", "limits"):
            shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
        for name in ("templates", "samconfig"):
            shutil.copytree(ROOT / name, folder / name)
        for stack in STACKS:
            built = folder / ".aws-sam" / stack
            built.mkdir(parents=True)
            (built / "template.yaml").write_text("Resources: {}\n")
        for name, text in (("aws", AWS), ("sam", SAM)):
            (folder / name).write_text(text.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def stack(self, place: str, outputs: dict[str, str], status: str = "CREATE_COMPLETE") -> None:
        self.world["stacks"][place] = {"status": status, "outputs": outputs}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "stacks.json").write_text(json.dumps(self.world))
        inherited = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        own = {"STAND_IN": str(self.folder), "AWS": str(self.folder / "aws"), "SAM": str(self.folder / "sam")}
        return subprocess.run(["bash", str(self.folder / "scripts" / "deploy"), *words], capture_output=True, text=True,
                              check=False, timeout=60, env={**inherited, **own, **environment})

    def calls(self, program: str) -> list[Any]:
        log = self.folder / f"{program}.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def deployed(self) -> tuple[list[str], dict[str, str]]:
        """Words of the one `sam deploy`, and the parameters as the SAM CLI reads them, all of which the template has."""
        [call] = [call for call in self.calls("sam") if call["words"][0] == "deploy"]
        words, parameters = call["words"], tomllib.loads(call["parameters"] or "")
        assert parameters.keys() <= set(parameters_of(Path(words[words.index("--config-file") + 1]).stem))
        return words, {name: unquoted(unquoted(value)) for name, value in parameters.items()}


def unquoted(value: str) -> str:
    """Removes what the SAM CLI removes from a value; test_sam_reads_every_value_as_it_was_given compares with the SAM CLI."""
    if value and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return value.replace("\\ ", " ").replace('\\"', '"').replace("\\'", "'")


def parameters_of(stack: str) -> dict[str, Any]:
    """The parameters of the stack's template."""
    config = tomllib.loads((ROOT / "samconfig" / f"{stack}.toml").read_text())
    template = (ROOT / config["default"]["build"]["parameters"]["template_file"]).read_text()
    parameters: dict[str, Any] = yaml.load(template, Loader=TemplateLoader)["Parameters"]
    return parameters


class TemplateLoader(yaml.SafeLoader):
    """Reads a template without its intrinsic functions."""


TemplateLoader.add_multi_constructor("!", lambda *_: None)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def succeed(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr


def test_the_warehouse_gets_the_private_subnets_of_the_network(deployment: Deployment) -> None:
    deployment.stack("target/sluice-network", NETWORK)
    succeed(deployment.run("warehouse"))
    words, parameters = deployment.deployed()
    assert parameters == {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2"}
    assert words[:8] == [
        "deploy", "--config-file", "samconfig/warehouse.toml", "--stack-name", "sluice-warehouse", "--profile", "target", "--region",
    ]


def test_stage_selects_config_section_and_stack_names(deployment: Deployment) -> None:
    deployment.stack("target/sluice-staging-network", NETWORK)
    succeed(deployment.run("warehouse", STAGE="staging", BUILD="1"))
    words, parameters = deployment.deployed()
    assert words[1:7] == [
        "--config-file", "samconfig/warehouse.toml", "--config-env", "staging", "--stack-name", "sluice-staging-warehouse",
    ]
    assert parameters["VpcId"] == "vpc-1"
    assert deployment.calls("sam")[0]["words"][:5] == ["build", *words[1:5]]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_a_complete_default_stage(stack: str) -> None:
    default = tomllib.loads((ROOT / "samconfig" / f"{stack}.toml").read_text())["default"]
    built, deployed = default["build"]["parameters"], default["deploy"]["parameters"]
    name = "rotation" if stack in ROTATIONS else stack
    assert default["global"]["parameters"] == {"stack_name": f"sluice-{name}"}
    assert (ROOT / built["template_file"]).is_file()
    assert deployed["template_file"] == f"{built['build_dir']}/template.yaml" == f".aws-sam/{stack}/template.yaml"
    assert deployed["capabilities"] and deployed["resolve_s3"] is True


def test_every_stack_has_one_config_file_and_sam_alone_takes_the_first() -> None:
    assert sorted(path.stem for path in (ROOT / "samconfig").iterdir()) == sorted(STACKS)
    assert (ROOT / "samconfig.toml").resolve() == ROOT / "samconfig" / "network.toml"


def test_the_target_learns_of_every_source_accounts_id_and_bucket(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    succeed(deployment.run("target", SOURCE_PROFILES="source second"))
    assert deployment.deployed()[1] == {
        "ClusterIdentifier": "main", "NamespaceArn": "arn:ns", "SourceAccounts": "111111111111,333333333333",
        "SourceBuckets": "sluice-111111111111-eu-central-1,sluice-333333333333-eu-central-1",
        "MonitorDatabase": "dev", "AdminSecretArn": "arn:secret", "RestrictRoles": "true",
    }


MONITOR = {"MonitorDatabase": "dev", "AlertTopicArn": "arn:topic", "AlertTopicKeyArn": "arn:key", "FallbackTopicArn": "arn:second"}


def monitor_of(deployment: Deployment) -> dict[str, str]:
    return {name: value for name, value in deployment.deployed()[1].items() if name.startswith(("Monitor", "Alert", "Fallback"))}


def test_the_target_is_watched_where_there_is_a_hub(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("second/sluice-hub", HUB)
    succeed(deployment.run("target", HUB_PROFILE="second"))
    assert monitor_of(deployment) == MONITOR


def test_what_the_user_says_of_the_monitor_wins_and_an_empty_topic_turns_it_off(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("target/sluice-hub", HUB)
    deployment.world["regions"]["second"] = "eu-west-1"
    succeed(deployment.run("target", "MonitorDbUser=watcher"))
    assert monitor_of(deployment) == {**MONITOR, "MonitorDbUser": "watcher"}
    (deployment.folder / "sam.log").unlink()
    succeed(deployment.run("target", "AlertTopicArn="))
    assert monitor_of(deployment) == {"AlertTopicArn": "", "MonitorDatabase": "dev"}
    (deployment.folder / "sam.log").unlink()
    # A topic in another Region can be told, but no alarm can use it.
    deployment.stack("second/sluice-hub", HUB)
    succeed(deployment.run("target", HUB_PROFILE="second"))
    assert "FallbackTopicArn" not in monitor_of(deployment)


def test_a_target_that_is_not_watched_says_why(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    result = deployment.run("target")
    succeed(result)
    assert "no copy monitor, because there is no stack 'sluice-hub'" in result.stdout and "make deploy-hub" in result.stdout
    deployment.stack("target/sluice-hub", HUB)
    result = deployment.run("target", "ClusterIdentifier=theirs")
    succeed(result)
    assert "no copy monitor, because the warehouse is not of stack 'sluice-warehouse': give MonitorDatabase" in result.stdout


def test_the_source_lets_the_monitor_list_its_bucket(deployment: Deployment) -> None:
    deployment.stack("target/sluice-target", {**TARGET, "MonitorRoleArn": "arn:monitor"})
    succeed(deployment.run("source"))
    assert deployment.deployed()[1]["MonitorRoleArn"] == "arn:monitor"


def test_a_serverless_warehouse_hands_on_its_workgroup(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", WORKGROUP)
    deployment.stack("target/sluice-target", {"WorkgroupName": "wg", "NamespaceArn": "arn:ns", "CopyRoleArn": "arn:role", "LoaderSecretArn": "arn:loader"})
    deployment.stack("source/sluice-source", SOURCE)
    succeed(deployment.run("job", "JobName=j", "TableName=t"))
    parameters = deployment.deployed()[1]
    assert (parameters["WorkgroupName"], parameters["WorkgroupArn"], parameters["NamespaceArn"]) == ("wg", "arn:wg", "arn:ns")
    assert "ClusterIdentifier" not in parameters


def test_the_source_goes_to_its_own_account_with_the_outputs_of_the_targets(deployment: Deployment) -> None:
    deployment.stack("target/sluice-target", TARGET)
    succeed(deployment.run("source"))
    words, parameters = deployment.deployed()
    assert words[words.index("--profile") + 1] == "source"
    assert parameters == {"TargetNamespaceArn": "arn:ns", "CopyRoleArn": "arn:role", "BucketName": "sluice-111111111111-eu-central-1"}
    assert ["--profile", "target"] == next(call for call in deployment.calls("aws") if "describe-stacks" in call)[:2]


def test_the_job_gets_what_all_three_stacks_put_out(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("target/sluice-target", TARGET)
    deployment.stack("source/sluice-source", SOURCE)
    succeed(deployment.run("job", "JobName=j", "TableName=t"))
    assert deployment.deployed()[1] == {
        "ClusterIdentifier": "main", "CopyRoleArn": "arn:role", "Database": "dev", "WarehouseSecretArn": "arn:loader",
        "SourceBucket": "files", "SourcePrefix": "in/", "JobName": "j", "TableName": "t",
    }


def test_admin_of_another_warehouse_is_never_passed_on(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    result = deployment.run("target", "ClusterIdentifier=theirs")
    succeed(result)
    assert "no database users are created, because the warehouse is not of stack 'sluice-warehouse'" in result.stdout
    assert "AdminSecretArn" not in deployment.deployed()[1] and "RestrictRoles" not in deployment.deployed()[1]


def test_job_never_gets_the_admins_secret(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("target/sluice-target", {name: value for name, value in TARGET.items() if name != "LoaderSecretArn"})
    deployment.stack("source/sluice-source", SOURCE)
    result = deployment.run("job", "JobName=j", "TableName=t")
    assert result.returncode == 1
    assert "has no database user for the job; give WarehouseSecretArn or DbUser" in result.stderr


def test_what_the_user_says_wins(deployment: Deployment) -> None:
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("target/sluice-target", TARGET)
    deployment.stack("source/sluice-source", SOURCE)
    succeed(deployment.run("job", "ClusterIdentifier=other", "DbUser=loader", "SourcePrefix=", "JobName=j", "TableName=t"))
    parameters = deployment.deployed()[1]
    assert (parameters["ClusterIdentifier"], parameters["DbUser"], parameters["SourcePrefix"]) == ("other", "loader", "")
    assert "WarehouseSecretArn" not in parameters


def test_existing_resources_need_no_other_stack(deployment: Deployment) -> None:
    succeed(deployment.run("source", "BucketName=mine", "TargetNamespaceArn=arn:x", "CopyRoleArn=arn:y"))
    assert deployment.deployed()[1] == {"BucketName": "mine", "TargetNamespaceArn": "arn:x", "CopyRoleArn": "arn:y"}


def known_parameters(stack: str) -> list[str]:
    """What a stack needs, so that it reads no other stack."""
    return {
        "warehouse": ["VpcId=vpc-1", "SubnetIds=subnet-1"], "target": ["ClusterIdentifier=main", "AlertTopicArn="],
        "source": ["TargetNamespaceArn=arn:ns", "CopyRoleArn=arn:role"],
        "job": ["ClusterIdentifier=main", "CopyRoleArn=arn:role", "SourceBucket=files", "DbUser=loader"],
        "consumers": ["SecretArn=arn:s"], "spoke": ["HubBusArn=arn:bus", "ReaderRoleArns=arn:one"],
        **{one: ["SecretArn=arn:s"] for one in ROTATIONS},
    }.get(stack, [])


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_gets_the_boundary_and_the_path(deployment: Deployment, stack: str) -> None:
    deployment.world["partition"] = "aws-us-gov"
    engine = {"rotation-sql": "postgres", "rotation-elasticache": "elasticache-user"}.get(stack, stack.removeprefix("rotation-"))
    words = ["rotation", f"Engine={engine}"] if stack in ROTATIONS else [stack]
    succeed(deployment.run(*words, *known_parameters(stack), PERMISSIONS_BOUNDARY="bank/limit", ROLE_PATH="/bank/"))
    found = deployment.deployed()[1]
    account = "111111111111" if stack in ("source", "spoke") else "222222222222"
    assert (found["PermissionsBoundaryArn"], found["RolePath"]) == (f"arn:aws-us-gov:iam::{account}:policy/bank/limit", "/bank/")


def test_boundary_by_arn_is_handed_on_unchanged(deployment: Deployment) -> None:
    boundary = "arn:aws:iam::222222222222:policy/limit"
    succeed(deployment.run("network", PERMISSIONS_BOUNDARY=boundary))
    assert deployment.deployed()[1] == {"PermissionsBoundaryArn": boundary}
    assert not [call for call in deployment.calls("aws") if "get-caller-identity" in call]


def test_parameters_win_over_boundary_and_path(deployment: Deployment) -> None:
    succeed(deployment.run("network", "PermissionsBoundaryArn=", "RolePath=/own/", PERMISSIONS_BOUNDARY="limit", ROLE_PATH="/bank/"))
    assert deployment.deployed()[1] == {"PermissionsBoundaryArn": "", "RolePath": "/own/"}


def test_spoke_takes_the_path_of_the_hub(deployment: Deployment) -> None:
    deployment.stack("target/sluice-hub", {**HUB, "RolePath": "/bank/"})
    succeed(deployment.run("spoke"))
    assert deployment.deployed()[1]["RolePath"] == "/bank/"


def test_spoke_with_another_path_than_the_hub_is_refused(deployment: Deployment) -> None:
    deployment.stack("target/sluice-hub", {**HUB, "RolePath": "/bank/"})
    result = deployment.run("spoke", ROLE_PATH="/other/")
    assert result.returncode == 1
    assert "the path /other/ is not that of the hub, /bank/" in result.stderr and not deployment.calls("sam")


VALUES = (
    "id integer; name varchar(255)", '"id"; "name"', "'", '"', "''", '""', "'\"'", 'a "quoted" one', "'a' and 'b'", '"a"b', "back\\slash",
    "\\", "\\\\", "\\N", "\\001", "\\ ", "a\\ b", "\\'", "x\\\\\"", "tab\there", "\t", "\n", "line\nline\r\nline\n", " leading", "trailing ", " ",
    "50%", "%s %d %%", "$(touch x) `y` ${z}", "ü", "😀", "\x01", "\x7f", "\x85\u2028\ufeff", "a=b,c=d", "file://x", "#", "null", "true", "007", "&", "",
)


def given_values() -> dict[str, str]:
    """A value for each of some parameters of the stack `job`."""
    return dict(zip(parameters_of("job"), VALUES, strict=False))


def test_a_value_arrives_as_it_was_given(deployment: Deployment) -> None:
    values = given_values()
    assert len(values) == len(VALUES)
    deployment.stack("source/sluice-source", SOURCE)
    succeed(deployment.run("job", *(f"{name}={value}" for name, value in values.items())))
    assert deployment.deployed()[1].items() >= values.items()


# The option of `sam deploy`, and the parameters that it sends to CloudFormation.
REAL_SAM = """
import json, sys
import click
from samcli.commands._utils.options import parameter_override_option
from samcli.commands.deploy.deploy_context import DeployContext

@click.command()
@parameter_override_option
def deploy(parameter_overrides):
    template = {"Parameters": {name: {} for name in json.load(sys.stdin)}}
    print(json.dumps(DeployContext.merge_parameters(template, parameter_overrides)))

deploy()
"""


def test_sam_reads_every_value_as_it_was_given(deployment: Deployment, tmp_path: Path) -> None:
    values = given_values()
    deployment.stack("source/sluice-source", SOURCE)
    succeed(deployment.run("job", *(f"{name}={value}" for name, value in values.items())))
    [call] = deployment.calls("sam")
    parameters = tmp_path / Path(call["words"][call["words"].index("--parameter-overrides") + 1]).name
    parameters.write_text(call["parameters"])
    cloud = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "sluice-cloud"
    command = [str(cloud), "exec", "sam", "python", "-c", REAL_SAM, "--parameter-overrides", f"file://{parameters}"]
    answer = subprocess.run(command, input=json.dumps(list(values)), capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert {item["ParameterKey"]: item.get("ParameterValue") for item in json.loads(answer.stdout)} == values


@pytest.mark.parametrize("stack", STACKS)
def test_misspelt_parameter_of_any_stack_is_refused(deployment: Deployment, stack: str) -> None:
    parameters = list(parameters_of(stack))
    refused = deployment.run(stack, f"{parameters[0].swapcase()}s=1")
    assert refused.returncode == 1
    assert refused.stderr == f"deploy: stack '{stack}' has no parameter '{parameters[0].swapcase()}s'; did you mean '{parameters[0]}'?\n"
    refused = deployment.run(stack, "NothingOfTheKindAtAll=1")
    assert refused.stderr == f"deploy: stack '{stack}' has no parameter 'NothingOfTheKindAtAll'; its parameters are: {' '.join(parameters)}\n"
    assert deployment.calls("aws") == deployment.calls("sam") == []


@pytest.mark.parametrize(("given", "meant"), [
    ("IgnorHeader", "IgnoreHeader"), ("TabelName", "TableName"), ("format", "Format"), ("Colums", "Columns"), ("JobNames", "JobName"),
])
def test_misspelt_parameter_names_the_one_that_is_meant(deployment: Deployment, given: str, meant: str) -> None:
    refused = deployment.run("job", f"{given}=1")
    assert (refused.returncode, refused.stderr) == (1, f"deploy: stack 'job' has no parameter '{given}'; did you mean '{meant}'?\n")


STARTED = ["e1", "sluice-network", "CREATE_IN_PROGRESS", "User Initiated"]
REASON = "the parameter Columns names \"nmae\", which table public.orders does not have; its columns are id, name, value"
FAILED = [
    ["e9", "sluice-network", "UPDATE_ROLLBACK_COMPLETE", "None"],
    ["e8", "Late", "UPDATE_FAILED", "late"],
    ["e7", "Other", "UPDATE_FAILED", "Resource update cancelled"],
    ["e6", "CopyJob", "UPDATE_FAILED", f"Received response status [FAILED] from custom resource. Message returned: {REASON}\nline 2\ttab"],
    ["e5", "CopyJob", "UPDATE_IN_PROGRESS", "None"],
    ["e4", "sluice-network", "UPDATE_IN_PROGRESS", "User Initiated"],
    ["e3", "Vpc", "CREATE_FAILED", "an older failure"],
    STARTED,
]


def test_failed_stack_ends_with_the_whole_reason(deployment: Deployment) -> None:
    deployment.world["failure"] = FAILED
    failed = deployment.run("network")
    assert (failed.returncode, failed.stderr) == (1, f"deploy: CopyJob failed: {REASON} line 2\ttab\n")


def test_failure_of_an_earlier_deployment_is_not_repeated(deployment: Deployment) -> None:
    deployment.stack("target/sluice-network", {}, "UPDATE_ROLLBACK_COMPLETE")
    deployment.world.update(events=FAILED, failure=[])
    failed = deployment.run("network")
    assert (failed.returncode, failed.stderr) == (3, "")
    deployment.world["failure"] = [["e12", "Subnet", "UPDATE_FAILED", "no zone"], ["e11", "sluice-network", "UPDATE_IN_PROGRESS", "None"]]
    assert deployment.run("network").stderr == "deploy: Subnet failed: no zone\n"


def test_second_job_in_the_stack_of_the_first_is_refused(deployment: Deployment) -> None:
    deployment.stack("target/sluice-target", TARGET)
    deployment.stack("source/sluice-source", SOURCE)
    deployment.stack("target/sluice-job", {"JobName": "orders_0a1b2c3d", "Table": "public.orders"})
    refused = deployment.run("job", "JobName=customer_list", "TableName=customers")
    assert (refused.returncode, refused.stderr) == (
        1, "deploy: stack 'sluice-job' already has job 'orders', of which only Auto can change; deploy the new job as its own "
           "stack: JOB_STACK=sluice-job-customer-list make deploy-job PARAMETERS=\"JobName=customer_list ...\"\n")
    assert deployment.calls("sam") == []


@pytest.mark.parametrize("job", ["orders_0a1b2c3d", "orders"])
def test_job_of_the_same_name_is_deployed_again(deployment: Deployment, job: str) -> None:
    deployment.stack("target/sluice-target", TARGET)
    deployment.stack("source/sluice-source", SOURCE)
    deployment.stack("target/sluice-job", {"JobName": job})
    succeed(deployment.run("job", "JobName=orders", "Auto=false"))
    assert deployment.deployed()[1]["Auto"] == "false"


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("job", "--help")])
def test_help_prints_usage(deployment: Deployment, words: tuple[str, ...]) -> None:
    result = deployment.run(*words)
    succeed(result)
    assert result.stderr == "" and "  scripts/deploy network|warehouse|" in result.stdout and "TARGET_PROFILE" in result.stdout
    assert "#" not in result.stdout and "set -euo" not in result.stdout


def test_a_rotation_goes_to_the_account_of_its_secret(deployment: Deployment) -> None:
    succeed(deployment.run("rotation", "SecretArn=arn:s", "Engine=postgres", SECRET_PROFILE="source"))
    words, parameters = deployment.deployed()
    assert (words[words.index("--profile") + 1], parameters) == ("source", {"SecretArn": "arn:s", "Engine": "postgres"})


@pytest.mark.parametrize(("engine", "template", "passed"), [
    ("mysql", "rotation-sql", {"Engine": "mysql"}), ("redshift", "rotation-redshift", {}), ("kafka", "rotation-kafka", {}),
    ("msk", "rotation-msk", {}), ("elasticache-user", "rotation-elasticache", {"Engine": "elasticache-user"}),
    ("elasticache-token", "rotation-elasticache", {"Engine": "elasticache-token"}), ("api-key", "rotation-api-key", {}),
])
def test_the_engine_of_a_rotation_chooses_its_template(deployment: Deployment, engine: str, template: str, passed: dict[str, str]) -> None:
    succeed(deployment.run("rotation", "SecretArn=arn:s", f"Engine={engine}"))
    words, parameters = deployment.deployed()
    assert words[words.index("--config-file") + 1] == f"samconfig/{template}.toml"
    assert words[words.index("--stack-name") + 1] == "sluice-rotation"
    assert parameters == {"SecretArn": "arn:s", **passed}


def test_consumers_go_to_the_account_of_their_secret(deployment: Deployment) -> None:
    succeed(deployment.run("consumers", "SecretArn=arn:s", "ConsumerTopicArn=arn:t", SECRET_PROFILE="source"))
    words, parameters = deployment.deployed()
    assert (words[words.index("--profile") + 1], words[words.index("--stack-name") + 1]) == ("source", "sluice-consumers")
    assert parameters == {"SecretArn": "arn:s", "ConsumerTopicArn": "arn:t"}


def test_the_hub_learns_of_every_account_that_it_watches_but_its_own(deployment: Deployment) -> None:
    succeed(deployment.run("hub", HUB_PROFILE="second", SPOKE_PROFILES="source target source second"))
    words, parameters = deployment.deployed()
    assert (words[words.index("--profile") + 1], parameters["SpokeAccounts"]) == ("second", "111111111111,222222222222")
    assert words[words.index("--stack-name") + 1] == "sluice-hub"


def test_an_organisation_needs_no_list_of_accounts(deployment: Deployment) -> None:
    succeed(deployment.run("hub", "OrganizationId=o-exampleorgid", "SpokeAccounts="))
    assert deployment.deployed()[1] == {"OrganizationId": "o-exampleorgid", "SpokeAccounts": ""}


def test_hub_names_the_form_of_a_role_that_does_not_exist_yet(deployment: Deployment) -> None:
    succeed(deployment.run("hub", HUB_PROFILE="second", SPOKE_PROFILES="source target", ROLE_PATH="/bank/"))
    assert deployment.deployed()[1]["PublisherRoleArns"] == "arn:aws:iam::222222222222:role/bank/sluice-target*-MonitorRole-*"


def test_hub_names_the_role_of_the_copy_monitor(deployment: Deployment) -> None:
    deployment.stack("target/sluice-target", {"MonitorRoleArn": "arn:aws:iam::222222222222:role/exact"})
    succeed(deployment.run("hub", HUB_PROFILE="second", SPOKE_PROFILES="source target"))
    assert deployment.deployed()[1]["PublisherRoleArns"] == "arn:aws:iam::222222222222:role/exact"


def test_hub_in_the_targets_account_names_no_publisher(deployment: Deployment) -> None:
    succeed(deployment.run("hub", HUB_PROFILE="target", SPOKE_PROFILES="source target"))
    assert "PublisherRoleArns" not in deployment.deployed()[1]


def test_a_spoke_goes_to_the_watched_account_with_the_outputs_of_the_hub(deployment: Deployment) -> None:
    deployment.stack("second/sluice-hub", HUB)
    succeed(deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source"))
    words, parameters = deployment.deployed()
    assert words[words.index("--profile") + 1] == "source"
    assert parameters == {
        "HubBusArn": "arn:bus", "ReaderRoleArns": "arn:one,arn:two", "ReadRoleName": "reader", "FallbackTopicArn": "arn:second",
    }


def test_a_spoke_in_another_region_gets_no_topic_for_its_alarm(deployment: Deployment) -> None:
    deployment.stack("second/sluice-hub", HUB)
    deployment.world["regions"]["source"] = "eu-west-1"
    succeed(deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source"))
    assert "FallbackTopicArn" not in deployment.deployed()[1]


def subscriptions(deployment: Deployment) -> list[dict[str, str]]:
    calls = [call for call in deployment.calls("aws") if call[6:8] == ["sns", "subscribe"]]
    return [{name: call[call.index(name) + 1] for name in call if name.startswith("--")} for call in calls]


def test_the_hub_subscribes_its_queue_to_what_databases_of_a_spoke_tell(deployment: Deployment) -> None:
    deployment.stack("second/sluice-hub", {**HUB, "CustomEventsQueueArn": "arn:queue", "CustomEventsDeadLetterQueueArn": "arn:held"})
    deployment.stack("source/sluice-spoke", {"DatabaseTopicArn": "arn:databases"})
    succeed(deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source"))
    [call] = subscriptions(deployment)
    redrive = json.loads(json.loads(call.pop("--attributes"))["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": "arn:held"}
    assert call == {"--profile": "second", "--region": "eu-central-1", "--output": "text", "--topic-arn": "arn:databases", "--protocol": "sqs",
                    "--notification-endpoint": "arn:queue"}


def test_the_topic_of_another_region_is_subscribed_there_and_without_a_dead_letter_queue(deployment: Deployment) -> None:
    deployment.stack("second/sluice-hub", {**HUB, "CustomEventsQueueArn": "arn:queue", "CustomEventsDeadLetterQueueArn": "arn:held"})
    deployment.stack("source/sluice-spoke", {"DatabaseTopicArn": "arn:databases"})
    deployment.world["regions"]["source"] = "eu-west-1"
    succeed(deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source"))
    [call] = subscriptions(deployment)
    assert (call["--region"], "--attributes" in call) == ("eu-west-1", False)


def test_a_spoke_without_databases_is_not_subscribed_to_and_an_old_hub_is_named(deployment: Deployment) -> None:
    deployment.stack("second/sluice-hub", HUB)
    deployment.stack("source/sluice-spoke", {"HubBusArn": "arn:bus"})
    succeed(deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source"))
    assert subscriptions(deployment) == []
    deployment.stack("source/sluice-spoke", {"DatabaseTopicArn": "arn:databases"})
    result = deployment.run("spoke", HUB_PROFILE="second", SPOKE_PROFILE="source")
    assert (result.returncode, "run 'make deploy-hub' first" in result.stderr) == (1, True)


def test_without_parameters_none_are_passed(deployment: Deployment) -> None:
    succeed(deployment.run("network"))
    assert "--parameter-overrides" not in deployment.deployed()[0]


def test_a_stack_whose_creation_was_rolled_back_is_removed_first(deployment: Deployment) -> None:
    deployment.stack("target/sluice-network", {}, "ROLLBACK_COMPLETE")
    succeed(deployment.run("network"))
    asked = [call[-3] for call in deployment.calls("aws") if "cloudformation" in call and "--query" not in call]
    assert asked == ["delete-stack", "stack-delete-complete"]
    deployment.deployed()


def test_a_stack_that_was_rolled_back_after_an_update_is_left_alone(deployment: Deployment) -> None:
    deployment.stack("target/sluice-network", NETWORK, "UPDATE_ROLLBACK_COMPLETE")
    succeed(deployment.run("network"))
    assert not [call for call in deployment.calls("aws") if "delete-stack" in call]


Refusal = tuple[Callable[[Deployment], None], tuple[str, ...], dict[str, str], str]
REFUSALS: dict[str, Refusal] = {
    "no stack named": (lambda _: None, (), {}, "say which stack: network, warehouse, target, source, job, rotation, consumers, hub or spoke"),
    "an unknown stack": (lambda _: None, ("bucket",), {}, "there is no stack 'bucket'; say one of network, warehouse"),
    "a rotation without a secret": (lambda _: None, ("rotation", "Engine=postgres"), {}, "set SecretArn, the ARN of the secret to rotate"),
    "a rotation without an engine": (lambda _: None, ("rotation", "SecretArn=arn:s"), {}, "set Engine to postgres, mysql, redshift, kafka, msk,"),
    "an unknown engine": (
        lambda _: None, ("rotation", "SecretArn=arn:s", "Engine=oracle"), {},
        "set Engine to postgres, mysql, redshift, kafka, msk, elasticache-user, elasticache-token or api-key (found: oracle)"),
    "a parameter of another engine": (
        lambda _: None, ("rotation", "SecretArn=arn:s", "Engine=kafka", "MskClusterArn=arn:c"), {},
        "stack 'rotation-kafka' has no parameter 'MskClusterArn'; its parameters are: SecretArn SecretKeyArn Strategy"),
    "consumers of a rotation": (
        lambda _: None, ("rotation", "SecretArn=arn:s", "Engine=kafka", "ConsumerTopicArn=arn:t"), {},
        "stack 'rotation-kafka' has no parameter 'ConsumerTopicArn'; notify consumers with 'make deploy-consumers'"),
    "consumers without a secret": (
        lambda _: None, ("consumers", "ConsumerTopicArn=arn:t"), {}, "set SecretArn, the ARN of the secret whose consumers are notified"),
    "not a parameter": (lambda _: None, ("network", "--guided"), {}, "'--guided' is not of the form Parameter=Value"),
    "the earlier stack is missing": (
        lambda _: None, ("source",), {},
        "stack 'sluice-target' is not there (profile 'target', Region eu-central-1); run 'make deploy-target' first"),
    "a spoke without a hub": (
        lambda _: None, ("spoke",), {},
        "stack 'sluice-hub' is not there (profile 'target', Region eu-central-1); run 'make deploy-hub' first"),
    "the earlier stack is being made": (
        lambda d: d.stack("target/sluice-target", TARGET, "CREATE_IN_PROGRESS"), ("source",), {},
        "stack 'sluice-target' is in CREATE_IN_PROGRESS; wait until it is done"),
    "the earlier stack failed": (
        lambda d: d.stack("target/sluice-target", {}, "ROLLBACK_COMPLETE"), ("source",), {},
        "stack 'sluice-target' is in ROLLBACK_COMPLETE and has nothing to hand on"),
    "no Region": (
        lambda d: d.world["regions"].clear(), ("network",), {}, "profile 'target' has no Region; set AWS_REGION or run:"),
    "not built": (
        lambda d: shutil.rmtree(d.folder / ".aws-sam" / "network"), ("network",), {},
        "stack 'network' is not built; run: sam build --config-file samconfig/network.toml"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_deployed_is_refused_with_a_sentence(deployment: Deployment, case: str) -> None:
    prepare, words, environment, sentence = REFUSALS[case]
    prepare(deployment)
    result = deployment.run(*words, **environment)
    assert result.returncode != 0
    assert result.stderr.startswith(f"deploy: {sentence}"), result.stderr
    assert not [call for call in deployment.calls("sam") if call["words"][0] == "deploy"]


def test_functions_that_were_built_for_tests_go_to_a_local_cloud_only(deployment: Deployment) -> None:
    deployment.stack("target/sluice-network", NETWORK)
    (deployment.folder / "target" / "lambda").mkdir(parents=True)
    (deployment.folder / "target" / "lambda" / "profile").write_text("dev\n")
    refused = deployment.run("warehouse")
    assert refused.returncode == 1 and "run 'make build' first" in refused.stderr, refused.stderr
    assert not deployment.calls("sam")
    succeed(deployment.run("warehouse", AWS_ENDPOINT_URL="http://127.0.0.1:4566"))
    deployment.world["endpoint"] = "http://127.0.0.1:4566"
    succeed(deployment.run("warehouse"))
    deployment.world["endpoint"] = "https://vpce-1.example.com"
    assert deployment.run("warehouse").returncode == 1
    (deployment.folder / "target" / "lambda" / "profile").write_text("release\n")
    succeed(deployment.run("warehouse"))


LONG_BUCKETS = ",".join(f"{n:03}" + "b" * 60 for n in range(64))
TOO_LONG = {
    "64 long buckets": (
        ("target", "ClusterIdentifier=main", "SourceAccounts=111111111111", f"SourceBuckets={LONG_BUCKETS}"),
        "the policies of CopyRole would have about 10714 characters with these values of SourceBuckets, SourceAccounts, "
        "SourceKeyArns, AWS takes 10240; deploy a second target stack for some of the buckets, or set CopyRoleArn to "
        "a role of your own",
    ),
    "characters that JSON escapes": (
        ("rotation-kafka", "SecretArn=arn:secret", "ExcludeCharacters=" + "\\\"" * 912),
        "the environment of RotationFunction would have about 4098 characters",
    ),
    "300 accounts": (
        ("hub", "SpokeAccounts=" + ",".join(["111111111111"] * 300)),
        "the policy of EventsQueuePolicy would have about 11600 characters with these values of SpokeAccounts, AWS takes 8192",
    ),
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_what_aws_takes_only_shorter_is_refused_before(deployment: Deployment, case: str) -> None:
    words, sentence = TOO_LONG[case]
    refused = deployment.run(*words)
    assert refused.returncode == 1 and refused.stderr.startswith(f"deploy: {sentence}"), refused.stderr
    assert deployment.calls("sam") == []


def test_as_many_buckets_as_aws_takes_are_deployed(deployment: Deployment) -> None:
    buckets = ",".join(LONG_BUCKETS.split(",")[:52])
    succeed(deployment.run("target", "ClusterIdentifier=main", "SourceAccounts=111111111111", f"SourceBuckets={buckets}"))
    assert deployment.deployed()[1]["SourceBuckets"] == buckets


def test_no_question_is_asked_twice(deployment: Deployment) -> None:
    """The AWS CLI takes a second to start."""
    deployment.stack("target/sluice-warehouse", CLUSTER)
    deployment.stack("target/sluice-hub", HUB)
    succeed(deployment.run("target"))
    calls = [tuple(call) for call in deployment.calls("aws")]
    assert len(calls) == len(set(calls)), calls
    # The Region of two profiles, the source's account, the warehouse, the hub, the stack itself.
    assert len(calls) == 6, calls
