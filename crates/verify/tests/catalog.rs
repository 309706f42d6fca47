//! The data of the checks: what is refused, and that the kit's own are as the page says.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use verify::{
    catalog::Catalog,
    page,
    ports::Store,
    state::{FileStore, RunState},
};

fn root() -> &'static Path {
    // crates/verify is two levels below the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

const GOOD: &str = r#"
title: Test
checks:
  - id: a-check
    question: Is it so?
    affects: nothing
    cost: { usd: 0.2, minutes: 5, source: test }
    settings: { thing: a name }
    steps:
      - run: aws sqs create-queue --queue-name ${prefix}
        capture: queue
        undo: [{ run: "aws sqs delete-queue --queue-url ${thing}" }]
      - run: aws sqs receive-message --queue-url ${queue}
        capture: body
        until: [{ contains: x }]
    answers:
      - { assumed: It is., when: [{ that: "${body}", contains: x }] }
"#;

#[test]
fn planted_faults_of_checks_are_named() {
    Catalog::parse(&[("test", GOOD)]).unwrap();
    for (from, to, expected) in [
        ("id: a-check", "id: A_check", "kebab case"),
        ("Is it so?", "It is so.", "no question mark"),
        ("minutes: 5", "minutes: 0", "`minutes` is at least 1"),
        ("usd: 0.2", "usd: -1", "not an amount"),
        ("source: test", "source: ''", "`source` is empty"),
        ("--queue-url ${queue}", "--queue-url ${other}", "step 2 needs `other`"),
        (
            "--queue-url ${thing}",
            "--queue-url ${queue}",
            "needs `queue`, which is not known before the step runs",
        ),
        ("capture: body", "capture: queue", "sets `queue`, which exists already"),
        ("capture: body", "capture: a.b", "sets `a.b`"),
        ("        undo: [{ run: \"aws sqs delete-queue --queue-url ${thing}\" }]\n", "", "has no `undo`"),
        ("- run: aws sqs receive-message", "- run: rm -rf", "runs `rm`"),
        ("that: \"${body}\"", "that: \"${bodi}\"", "an answer needs `bodi`"),
        ("{ that: \"${body}\", contains: x }", "{ contains: x }", "which text it is about"),
        ("assumed: It is.", "other: It is., change: x", "an answer that is assumed"),
        ("until: [{ contains: x }]", "may-miss: true", "may-miss without until"),
        ("until: [{ contains: x }]", "untill: [{ contains: x }]", "untill"),
        ("until: [{ contains: x }]", "until: [{ matches: '(' }]", "("),
        (
            "settings: { thing: a name }",
            "settings: { thing: a name, more: b }",
            "no step uses the setting `more`",
        ),
        (
            "settings: { thing: a name }",
            "settings: { thing: a name }\n    files: { f: x }",
            "no step reads the file `f`",
        ),
        ("capture: queue", "capture: queue\n        within: 0", "at least one second"),
        ("run: aws sqs receive-message --queue-url ${queue}", "ask: 'really?'\n        role: x", "role"),
    ] {
        assert!(GOOD.contains(from), "nothing to replace: {from}");
        let error = Catalog::parse(&[("test", &GOOD.replace(from, to))]).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(
            error.contains("a-check") || error.contains("checks/test.yaml") || error.contains("A_check"),
            "{error}"
        );
    }
    let twice = Catalog::parse(&[("test", GOOD), ("again", GOOD)]).unwrap_err().to_string();
    assert!(twice.contains("two checks have this id"), "{twice}");
}

#[test]
fn every_file_of_checks_is_read() {
    let catalog = Catalog::of_the_kit().unwrap();
    let files = fs::read_dir(root().join("crates/verify/checks")).unwrap().count();
    assert_eq!(catalog.groups.len(), files);
    assert!(catalog.checks().count() > 60, "{}", catalog.checks().count());
}

#[test]
fn page_is_generated_from_the_checks() {
    let page = page::page(&Catalog::of_the_kit().unwrap());
    let file = fs::read_to_string(root().join("docs/not-verified-on-aws.md")).unwrap();
    assert!(page == file, "docs/not-verified-on-aws.md differs from the checks; run: make verify-page");
}

/// Outputs of the kit's stacks that checks use exist in the templates.
#[test]
fn outputs_that_checks_use_exist() {
    let templates = [
        ("network", "network"),
        ("warehouse", "warehouse"),
        ("target", "copy-target"),
        ("source", "copy-source"),
        ("job", "copy-job"),
        ("rotation", "rotation-redshift"),
        ("hub", "alerts-hub"),
        ("spoke", "alerts-spoke"),
    ];
    let catalog = Catalog::of_the_kit().unwrap();
    let names: BTreeSet<_> = catalog.checks().flat_map(|check| check.names()).collect();
    let mut found = 0;
    for (stack, template) in templates {
        let text = fs::read_to_string(root().join(format!("templates/{template}.yaml"))).unwrap();
        let outputs = text.split("\nOutputs:").nth(1).unwrap();
        for name in names.iter().filter_map(|name| name.strip_prefix(&format!("{stack}."))) {
            assert!(
                outputs.contains(&format!("\n  {name}:\n")),
                "templates/{template}.yaml has no output {name}"
            );
            found += 1;
        }
    }
    assert!(found > 8, "{found}");
}

/// Files of the kit that a change names exist, so that the advice can be followed.
#[test]
fn files_that_changes_name_exist() {
    let catalog = Catalog::of_the_kit().unwrap();
    let mut missing = Vec::new();
    let changes = catalog
        .checks()
        .flat_map(|check| check.answers.iter().filter_map(move |a| Some((check, a.change.as_ref()?))));
    for (check, change) in changes {
        for word in change.split(|one: char| one.is_whitespace() || "`(),;".contains(one)) {
            let word = word.trim_end_matches('.');
            let is_path = ["crates/", "functions/", "templates/", "docs/", "local/", "events/"]
                .iter()
                .any(|start| word.starts_with(start));
            if is_path && !root().join(word).exists() {
                missing.push(format!("{}: {word}", check.id));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn state_is_private_and_survives_as_a_whole() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(&folder.path().join("run"));
    assert!(store.load().unwrap().is_none());
    let state = RunState::new("abc".into(), "1".parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap());
    store.save(&state).unwrap();
    assert_eq!(store.load().unwrap(), Some(state));
    assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let placed = store.place("a.template", "x").unwrap();
    assert_eq!(fs::read_to_string(placed).unwrap(), "x");
    fs::write(store.path(), "{").unwrap();
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("state.json is not a state"), "{error}");
    store.remove().unwrap();
    assert!(store.load().unwrap().is_none());
    store.remove().unwrap();
}
