//! The engine against an account in memory, with a crash at every point.

#![allow(clippy::unwrap_used)]

mod account;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use account::{Account, CRASH, environment, request, time};
use verify::{
    catalog::Catalog,
    engine::{Engine, EngineError, Finished, Request},
    report::Outcome,
};

const CHECKS: &str = r#"
title: Test
checks:
  - id: first
    question: Does the first work?
    affects: nothing
    cost: { usd: 0.20, hourly: 0.10, minutes: 5, source: test }
    steps:
      - run: aws test create-thing --name ${prefix}-a
        undo: [{ run: "aws test delete-thing --name ${prefix}-a" }]
      - run: aws test create-thing --name ${prefix}-b --needs ${prefix}-a
        undo:
          - find: aws test list-things --like ${prefix}-b
            run: aws test delete-thing --name ${found}
      - run: aws test read --key answer
        capture: seen
    answers:
      - assumed: It works.
        when: [{ that: "${seen}", equals: fine }]
      - other: It does not.
        change: Change it.
        when: [{ that: "${seen}", matches: "." }]
  - id: second
    question: Does the second work?
    affects: nothing
    cost: { usd: 0.30, minutes: 10, source: test }
    steps:
      - run: aws test create-thing --name ${prefix}-c
        undo: [{ run: "aws test delete-thing --name ${prefix}-c" }]
      - run: aws test read --key slow
        within: 1200
        every: 10
        capture: slow
        until: [{ equals: done }]
        may-miss: true
    answers:
      - assumed: It is done in time.
        when: [{ that: "${slow}", equals: done }]
      - other: It is not done in time.
        change: Wait longer.
        when: [{ that: "${slow}", matches: "." }]
  - id: careful
    question: Does the third work?
    affects: nothing
    caution: it stops something
    needs-aws: The reason.
    cost: { usd: 0, minutes: 1, source: test }
    settings: { thing: a name }
    steps:
      - run: aws test read --key ${thing}
        capture: seen
    answers:
      - assumed: It works.
        when: [{ that: "${seen}", matches: "." }]
"#;

fn catalog() -> Catalog {
    Catalog::parse(&[("test", CHECKS)]).unwrap()
}

fn both() -> Request {
    request(&["first", "second"])
}

fn start(account: &Account, request: &Request) -> Result<Finished, EngineError> {
    Engine::new(account.world(), &catalog(), &environment()).start("abc123", request)
}

fn resume(account: &Account, request: &Request) -> Result<Finished, EngineError> {
    Engine::new(account.world(), &catalog(), &environment()).resume(request)
}

fn clean_up(account: &Account) -> Option<Finished> {
    Engine::new(account.world(), &catalog(), &environment()).clean_up().unwrap()
}

fn results(finished: &Finished) -> BTreeMap<String, &'static str> {
    finished.report.checks.iter().map(|entry| (entry.id.clone(), entry.record.outcome.name())).collect()
}

fn reason(finished: &Finished, id: &str) -> String {
    let entry = finished.report.checks.iter().find(|entry| entry.id == id).unwrap();
    match &entry.record.outcome {
        Outcome::NotRun { reason } | Outcome::Failed { reason } | Outcome::NeedsAws { reason } => {
            reason.clone()
        }
        other => panic!("{id} is {other:?}"),
    }
}

#[test]
fn answers_are_recorded_and_everything_is_removed() {
    let account = Account::new();
    let finished = start(&account, &both()).unwrap();
    assert_eq!(results(&finished), [("first".into(), "as assumed"), ("second".into(), "as assumed")].into());
    assert!(account.things().is_empty() && account.state().is_none() && !finished.is_unfinished);
}

#[test]
fn other_answer_says_what_to_change() {
    let account = Account::new();
    account.answer("answer", "otherwise");
    let finished = start(&account, &both()).unwrap();
    let text = finished.report.text();
    assert!(text.contains("first: other") && text.contains("change: Change it."), "{text}");
    assert!(text.contains("1 as assumed, 1 other"), "{text}");
}

#[test]
fn refused_wait_is_a_failure_and_not_a_miss() {
    let account = Account::new();
    account.answer("slow", "refuse");
    let finished = start(&account, &both()).unwrap();
    assert!(reason(&finished, "second").contains("AccessDenied"), "{:?}", finished.report);
}

#[test]
fn answer_that_nothing_expects_is_a_failure() {
    let account = Account::new();
    account.answer("answer", "");
    let finished = start(&account, &both()).unwrap();
    assert!(reason(&finished, "first").contains("none of the expected answers"), "{:?}", finished.report);
}

/// Runs until the `at`-th interaction with the outside world, at which the process dies. Returns
/// false if there are not so many.
fn crashes(account: &Account, at: usize, run: impl FnOnce()) -> bool {
    account.crash_at(Some(at));
    let ended = catch_unwind(AssertUnwindSafe(run));
    account.crash_at(None);
    match ended {
        Ok(()) => false,
        Err(panic) => {
            assert_eq!(panic.downcast_ref::<&str>(), Some(&CRASH), "another panic at interaction {at}");
            true
        }
    }
}

/// Silences the messages of planned panics.
fn quietly(test: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&CRASH) {
            hook(info);
        }
    }));
    test();
}

#[test]
fn run_that_died_anywhere_is_resumed_and_leaves_nothing() {
    quietly(|| {
        let mut at = 0;
        loop {
            let account = Account::new();
            if !crashes(&account, at, || drop(start(&account, &both()).unwrap())) {
                break;
            }
            // Without a state nothing was created; with one, nothing is forgotten.
            let finished = match account.state() {
                None => {
                    assert!(account.things().is_empty(), "at {at}: {:?}", account.things());
                    start(&account, &both()).unwrap()
                }
                Some(_) => resume(&account, &Request { yes: true, ..Request::default() }).unwrap(),
            };
            let expected = [("first".into(), "as assumed"), ("second".into(), "as assumed")].into();
            assert_eq!(results(&finished), expected, "at {at}");
            assert_eq!(account.things(), Vec::<String>::new(), "at {at}");
            assert!(account.state().is_none(), "at {at}");
            at += 1;
        }
        assert!(at > 30, "only {at} points were tried");
    });
}

#[test]
fn run_that_died_anywhere_is_cleaned_up_also_when_that_dies() {
    quietly(|| {
        let mut at = 0;
        loop {
            let account = Account::new();
            if !crashes(&account, at, || drop(start(&account, &both()).unwrap())) {
                break;
            }
            // The first cleaning dies at its fourth interaction, where there are so many.
            crashes(&account, 3, || drop(clean_up(&account)));
            clean_up(&account);
            assert_eq!(account.things(), Vec::<String>::new(), "at {at}");
            assert!(account.state().is_none(), "at {at}");
            at += 1;
        }
    });
}

#[test]
fn removal_goes_from_newest_to_oldest() {
    let account = Account::new();
    start(&account, &both()).unwrap();
    // A thing that another one needs cannot be deleted, so another order would fail.
    let deleted = account.deleted();
    let ends: Vec<_> = deleted.iter().filter_map(|name| name.chars().last()).collect();
    assert_eq!(ends, ['b', 'a', 'c']);
}

#[test]
fn thing_that_is_listed_late_is_removed() {
    let account = Account::new();
    // The third list after the creation is the first one that has it.
    account.list_late(2);
    start(&account, &request(&["first"])).unwrap();
    assert_eq!(account.things(), Vec::<String>::new());
}

#[test]
fn failed_removal_is_loud_and_stays_for_clean_up() {
    let account = Account::new();
    account.refuse_deletion(true);
    let finished = start(&account, &both()).unwrap();
    assert_eq!(finished.report.not_removed, 3);
    let said = account.said();
    assert!(
        said.contains("NOT REMOVED") && said.contains("aws test delete-thing --name sv-abc123-0-1-a"),
        "{said}"
    );
    assert!(
        said.contains("--profile target --region us-east-1"),
        "the command cannot be run by hand: {said}"
    );
    assert!(matches!(start(&account, &both()), Err(EngineError::Unfinished(_))));
    account.refuse_deletion(false);
    let cleaned = clean_up(&account).unwrap();
    assert_eq!((cleaned.report.not_removed, account.things().len()), (0, 0));
    assert!(clean_up(&account).is_none());
}

#[test]
fn check_above_the_cost_cap_is_not_started() {
    let account = Account::new();
    let finished = start(&account, &Request { max_cost: "0.45".parse().ok(), ..both() }).unwrap();
    assert_eq!(results(&finished), [("first".into(), "as assumed"), ("second".into(), "not run")].into());
    assert!(reason(&finished, "second").contains("$0.50, above --max-cost $0.45"), "{:?}", finished.report);
}

#[test]
fn cost_of_interrupted_check_counts_after_resume() {
    quietly(|| {
        let account = Account::new();
        // Dies in the first check, after its cost was written down.
        account.die_at_command("create-thing");
        let ended = catch_unwind(AssertUnwindSafe(|| {
            start(&account, &Request { max_cost: "0.60".parse().ok(), ..both() })
        }));
        assert!(ended.is_err());
        assert_eq!(account.state().unwrap().spent.to_string(), "$0.20");
        let finished = resume(&account, &Request { yes: true, ..Request::default() }).unwrap();
        // 0.20 + 0.20 for the first check, so that the second one does not fit any more.
        assert_eq!(results(&finished), [("first".into(), "as assumed"), ("second".into(), "not run")].into());
    });
}

#[test]
fn end_time_stops_a_wait_and_removes_everything() {
    let account = Account::new();
    account.answer("slow", "not yet");
    let ends = Some(time("2026-12-01T00:18:30Z"));
    account.command_takes(60);
    let finished = start(&account, &Request { ends, ..both() }).unwrap();
    assert!(finished.is_unfinished && account.things().is_empty());
    assert!(reason(&finished, "second").contains("end time"), "{:?}", finished.report);
    // The run is over; resuming it needs a new end.
    account.command_takes(0);
    assert!(matches!(resume(&account, &Request::default()), Err(EngineError::Over(_))));
    let later = Request { ends: Some(time("2026-12-01T03:00:00Z")), yes: true, ..Request::default() };
    assert_eq!(results(&resume(&account, &later).unwrap())["second"], "other");
    assert!(account.things().is_empty() && account.state().is_none());
}

#[test]
fn check_that_cannot_end_in_time_is_not_started() {
    let account = Account::new();
    let finished = start(&account, &Request { ends: Some(time("2026-12-01T00:08:00Z")), ..both() }).unwrap();
    assert!(reason(&finished, "second").contains("about 10 minutes"), "{:?}", finished.report);
    assert_eq!(results(&finished)["first"], "as assumed");
}

#[test]
fn operator_stops_a_run_and_resumes_it() {
    let account = Account::new();
    account.stop_at_command("read");
    let finished = start(&account, &both()).unwrap();
    assert!(finished.is_unfinished && account.things().is_empty());
    assert!(reason(&finished, "first").contains("stopped by the operator"));
    account.stop_at_command("");
    let finished = resume(&account, &Request { yes: true, ..Request::default() }).unwrap();
    assert_eq!(results(&finished)["first"], "as assumed");
}

#[test]
fn nothing_is_run_without_consent() {
    let account = Account::new();
    let finished = start(&account, &Request { yes: false, ..both() }).unwrap();
    assert_eq!(results(&finished)["first"], "not run");
    assert!(account.state().is_none() && account.commands("create-thing") == 0);
    assert!(account.said().contains("about $0.50"), "{}", account.said());
}

#[test]
fn state_that_cannot_be_written_creates_nothing_more() {
    let account = Account::new();
    account.refuse_saves_after(3);
    assert!(matches!(start(&account, &both()), Err(EngineError::State(_))));
    assert_eq!(account.things(), Vec::<String>::new());
}

#[test]
fn other_account_behind_a_profile_is_refused() {
    quietly(|| {
        let account = Account::new();
        account.die_at_command("create-thing");
        assert!(catch_unwind(AssertUnwindSafe(|| start(&account, &both()))).is_err());
        account.belongs_to("444444444444");
        let Err(EngineError::OtherAccount { found, .. }) = resume(&account, &Request::default()) else {
            panic!("the run was resumed in another account")
        };
        assert_eq!(found, "444444444444");
        assert!(Engine::new(account.world(), &catalog(), &environment()).clean_up().is_err());
    });
}

#[test]
fn check_with_an_effect_runs_only_if_it_is_named() {
    let account = Account::new();
    let settings: BTreeMap<_, _> = [("thing".to_owned(), "answer".to_owned())].into();
    let all = Request { settings: settings.clone(), ..request(&[]) };
    assert!(reason(&start(&account, &all).unwrap(), "careful").contains("it stops something; name it"));
    let unset = start(&account, &request(&["careful"])).unwrap();
    assert!(reason(&unset, "careful").contains("--set thing=VALUE: a name"));
    let named = Request { settings, ..request(&["careful"]) };
    assert_eq!(results(&start(&account, &named).unwrap())["careful"], "as assumed");
}

#[test]
fn local_cloud_is_free_and_labelled_and_says_needs_aws() {
    let account = Account::new();
    let catalog = catalog();
    let mut environment = environment();
    environment.insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:4566".into());
    let request = Request { yes: false, max_cost: "0".parse().ok(), ..request(&[]) };
    let finished = Engine::new(account.world(), &catalog, &environment).start("abc123", &request).unwrap();
    assert_eq!(results(&finished)["careful"], "needs AWS");
    assert_eq!(results(&finished)["first"], "as assumed");
    assert!(finished.report.text().contains("answered by the local cloud"));
    environment.insert("AWS_ENDPOINT_URL".into(), "https://example.com".into());
    let refused = Engine::new(account.world(), &catalog, &environment).start("abc123", &request);
    assert!(matches!(refused, Err(EngineError::Endpoint(_))));
}

#[test]
fn unknown_checks_and_settings_are_named() {
    let account = Account::new();
    let error = start(&account, &request(&["firsd-first"])).unwrap_err().to_string();
    assert!(error.contains("`firsd-first` (did you mean `first`?)"), "{error}");
    let settings = [("thong".to_owned(), String::new())].into();
    let error = start(&account, &Request { settings, ..both() }).unwrap_err().to_string();
    assert!(error.contains("`thong`"), "{error}");
    assert!(matches!(resume(&account, &both()), Err(EngineError::NothingToResume)));
}

#[test]
fn profile_without_an_account_keeps_its_checks_from_running() {
    let account = Account::new();
    account.belongs_to("");
    let finished = start(&account, &both()).unwrap();
    assert!(reason(&finished, "first").contains("cannot say which account"), "{:?}", finished.report);
}
