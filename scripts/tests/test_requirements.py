"""Tests that docs/requirements.md names files, tests, parameters and alert kinds that exist, and that planted errors are found."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
# The rows of each seed. A row that is taken out is found by its missing number.
SEEDS = {"S0": 93, "S1": 60, "S2": 90, "S3": 93, "S4": 79}
CLAIMS = 17
STATES = ["yes", "replaced", "part", "no"]
STATES_OF_CLAIMS = ["true", "claim removed", "open"]

ROW = re.compile(r"- \*\*(S\d(?=-)|X)-?(\d+)\*\* (.+?): `([a-z ]+)`\.(?: (.*))?")
# A file, and the names in brackets after it.
REFERENCE = re.compile(r"`([^`]+)`(?: \((`[^`]+`(?:, `[^`]+`)*)\))?")
KIND = re.compile(r"Alert kinds? ((?:(?:, | and )?`[a-z-]+`)+)")
CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")


@cache
def read(path: Path) -> str:
    return path.read_text()


@cache
def named_tests(path: str) -> frozenset[str]:
    """The tests of a file: functions of Rust with the attribute, functions of Python that pytest calls."""
    text = read(ROOT / path)
    if path.endswith(".rs"):
        return frozenset(re.findall(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)", text))
    return frozenset(re.findall(r"^def (test_\w+)", text, re.M)) if path.endswith(".py") else frozenset()


@cache
def has(path: str, name: str) -> bool:
    """Returns true if a file defines a name."""
    text, word = read(ROOT / path), re.escape(name)
    if path.endswith(".rs"):
        return bool(re.search(rf"\b(?:fn|const|struct|enum|static) {word}\b", text))
    if path.endswith(".py"):
        return bool(re.search(rf"^(?:def|class) {word}\b", text, re.M))
    if path.endswith(".md"):
        return bool(re.search(rf"^#+ {word}$", text, re.M))
    if path.endswith(".guard"):
        return bool(re.search(rf"^rule {word}\b", text, re.M))
    if path.startswith("templates/"):
        return bool(re.search(rf"^ *{word}:|Sid: {word}$", text, re.M))
    return bool(re.search(rf"\b{word}\b", text))


def rows_of(page: str) -> list[tuple[str, int, str, str]]:
    """The rows of a page: seed, number, state, text."""
    joined = re.sub(r"\n +", " ", page)
    rows = []
    for line in joined.splitlines():
        if not line.startswith("- **"):
            continue
        found = ROW.fullmatch(line)
        assert found, f"not a row: {line}"
        rows.append((found[1], int(found[2]), found[4], found[5] or ""))
    return rows


def problems_of_row(row: str, state: str, text: str) -> list[str]:
    found, files, tested = [], 0, "No test: " in text
    for place, names in REFERENCE.findall(text):
        if "/" not in place and not (ROOT / place).is_file():
            if names:
                found.append(f"{row}: there is no file {place}")
            continue
        if not (ROOT / place).is_file():
            found.append(f"{row}: there is no file {place}")
            continue
        files += 1
        tested = tested or bool(re.fullmatch(r"policies/[a-z]+-tests\.yaml", place))
        for name in re.findall(r"`([^`]+)`", names):
            if not has(place, name):
                found.append(f"{row}: {place} has no {name}")
            tested = tested or name in named_tests(place)
    for kinds in KIND.findall(text):
        for kind in re.findall(r"`([a-z-]+)`", kinds):
            if f'"{kind}"' not in read(ROOT / "crates/alerts/src/kind.rs"):
                found.append(f"{row}: there is no alert kind {kind}")
    for target in re.findall(r"`make ([a-z-]+)", text):
        if not re.search(rf"^{target}:", read(ROOT / "Makefile"), re.M):
            found.append(f"{row}: there is no make {target}")
    known = words_of_the_project()
    found += [f"{row}: nothing is named {one}" for one in re.findall(r"`([^`]+)`", text) if CAMEL.fullmatch(one) and one not in known]
    if state in ("yes", "true") and not (files and tested):
        found.append(f"{row}: {state} without a file and a test")
    if state in ("replaced", "claim removed") and not files:
        found.append(f"{row}: {state} without a file")
    if state == "part" and "Missing: " not in text:
        found.append(f"{row}: part without what is missing")
    return found


@cache
def words_of_the_project() -> frozenset[str]:
    """The names in templates and code, for a name that stands without its file."""
    files = [path for place in ("templates", "crates", "functions") for path in (ROOT / place).rglob("*") if path.suffix in (".yaml", ".rs")]
    return frozenset(word for path in files for word in re.findall(r"\w+", path.read_text()))


def problems(page: str) -> list[str]:
    """What is wrong with a page of requirements."""
    rows = rows_of(page)
    found = [one for seed, number, state, text in rows for one in problems_of_row(f"{seed}-{number}" if seed != "X" else f"X{number}", state, text)]
    numbers = {seed: [number for its, number, _, _ in rows if its == seed] for seed in [*SEEDS, "X"]}
    found += [f"{seed}: the rows are not 1 to {count}" for seed, count in {**SEEDS, "X": CLAIMS}.items()
              if numbers[seed] != list(range(1, count + 1))]
    found += [f"{seed}-{number}: no state {state}" for seed, number, state, _ in rows
              if state not in (STATES_OF_CLAIMS if seed == "X" else STATES)]
    counted = Counter((seed, state) for seed, _, state, _ in rows)
    table = {line[0].strip("[").split("]")[0]: line[1:] for line in (re.split(r" *\| *", row.strip("| ")) for row in re.findall(r"^\|.*$", page, re.M))}
    for seed in SEEDS:
        counts = [str(counted[seed, state]) for state in STATES]
        if table.get(seed) != [str(SEEDS[seed]), *counts]:
            found.append(f"the table does not say {seed} {SEEDS[seed]} {' '.join(counts)}")
    sums = [str(sum(counted[seed, state] for seed in SEEDS)) for state in STATES]
    if table.get("all") != [str(sum(SEEDS.values())), *sums]:
        found.append(f"the table does not say all {sum(SEEDS.values())} {' '.join(sums)}")
    return found


def test_page_names_what_exists() -> None:
    assert problems(PAGE.read_text()) == []


def test_lines_of_the_page_fit_into_100_columns() -> None:
    long = [line for line in PAGE.read_text().splitlines() if len(line) > 100 and not line.startswith("|")]
    assert long == []


@pytest.mark.parametrize(("right", "wrong", "problem"), [
    ("(`SecretKeyArn`)", "(`SecretKeyArns`)", "S0-53: templates/warehouse.yaml has no SecretKeyArns"),
    ("(`broken_rule_is_named`)", "(`broken_rule_is_shown`)", "S0-38: crates/rotation/src/password.rs has no broken_rule_is_shown"),
    ("`tests/tests/existing_resources.rs`", "`tests/tests/existing.rs`", "S3-82: there is no file tests/tests/existing.rs"),
    ("`templates/network.yaml` (`SecretsManagerEndpoint`", "`templates/warehouse.yaml` (`SecretsManagerEndpoint`",
     "S1-35: templates/warehouse.yaml has no SecretsManagerEndpoint"),
    ("(`LOGS_END`)", "(`LOGS_STOP`)", "S0-16: policies/data.guard has no LOGS_STOP"),
    ("(`Stages`)", "(`Environments`)", "S3-31: docs/deploying.md has no Environments"),
    ("`rotation-slow`", "`rotation-too-slow`", "S3-20: there is no alert kind rotation-too-slow"),
    ("`ModifyClusterAdmin`", "`ChangeAdminOfCluster`", "S0-61: templates/rotation-redshift.yaml has no ChangeAdminOfCluster"),
    ("`make demo`", "`make show`", "S0-81: there is no make show"),
    ("`AwsCallFailed`", "`CallOfAwsFailed`", "S0-75: nothing is named CallOfAwsFailed"),
    ("`statemachines/await-resource.asl.json`", "`statemachines/wait.asl.json`", "S4-27: there is no file statemachines/wait.asl.json"),
    ("- **S0-4** Existing subnet group (`cluster_subnet_group_name`): `no`", "- **S0-4** Existing subnet group (`cluster_subnet_group_name`): `yes`",
     "S0-4: yes without a file and a test"),
    ("- **S1-60** Troubleshooting: variables shown as encrypted: `no`", "- **S1-60** Troubleshooting: variables shown as encrypted: `part`",
     "S1-60: part without what is missing"),
    ("| all | 415 |", "| all | 414 |", "the table does not say all 415"),
    ("- **S2-40** ", "- **S2-41** ", "S2: the rows are not 1 to 90"),
])
def test_planted_name_is_found(right: str, wrong: str, problem: str) -> None:
    joined = re.sub(r"\n +", " ", PAGE.read_text())
    assert right in joined
    assert [one for one in problems(joined.replace(right, wrong, 1)) if one.startswith(problem)]
