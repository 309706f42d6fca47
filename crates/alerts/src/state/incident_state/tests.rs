use std::collections::HashMap;

use super::*;
use crate::command::Command;
use crate::incident::AccountRegion;
use crate::kind::{Kind, Severity};
use crate::state::EventId;

const HOUR: i64 = 3_600_000;

fn incident(at: Moment) -> Incident {
    let location = AccountRegion::new("111111111111", "us-east-1");
    Incident::new(Kind::RotationFailed, Severity::Error, location, "arn:s", "secret s", at)
        .action("Rotate again.", Command::aws("secretsmanager", "rotate-secret"))
}

/// Occurrences are positive, recoveries negative; the number is the event's time.
fn observation(event: i64) -> Observation {
    let at = Moment::from_millis(event.abs());
    let id = EventId::of(&[&event.to_string()]);
    let raised = incident(at);
    if event > 0 { Observation::firing(raised, id) } else { Observation::resolved(raised.key(), "works again", id, at) }
}

fn run(record: &mut IncidentState, events: &[i64], now: i64) -> Vec<(Status, u64)> {
    let policy = Policy::default();
    let told =
        events.iter().filter_map(|event| record.apply(&observation(*event), Moment::from_millis(now), &policy));
    told.map(|notification| (notification.status, notification.count)).collect()
}

#[test]
fn the_first_occurrence_is_told_at_once_repeats_are_counted_and_the_end_is_told_once() {
    let mut record = IncidentState::default();
    assert_eq!(run(&mut record, &[10, 20, 30, -40, -50], 0), [(Status::Opened, 1), (Status::Resolved, 3)]);
    assert_eq!((record.is_open(), record.count()), (false, 3));
    // What comes late belongs to what was told.
    assert_eq!(run(&mut record, &[35, 5], 0), []);
    assert_eq!(record.count(), 5);
    assert_eq!(run(&mut record, &[60], 0), [(Status::Opened, 1)]);
}

#[test]
fn repeats_are_told_again_at_a_growing_interval_also_when_no_event_comes() {
    let mut record = IncidentState::default();
    let policy = Policy::default();
    run(&mut record, &[10], 0);
    assert_eq!(run(&mut record, &[20], HOUR / 4 - 1), []);
    assert_eq!(record.due(), Some(Moment::from_millis(HOUR / 4)));
    let key = incident(Moment::from_millis(10)).key();
    let told = record.tick(&key, Moment::from_millis(HOUR / 4), &policy).unwrap();
    assert_eq!((told.status, told.count), (Status::Repeated, 2));
    assert_eq!((record.due(), record.tick(&key, Moment::from_millis(9 * HOUR), &policy)), (None, None));
    // The next pause is an hour.
    assert_eq!(run(&mut record, &[30], HOUR), []);
    assert_eq!(run(&mut record, &[40], HOUR + HOUR / 4), [(Status::Repeated, 4)]);
}

#[test]
fn what_gets_worse_is_told_at_once_and_only_once() {
    let mut record = IncidentState::default();
    let policy = Policy::default();
    let mut told = Vec::new();
    for (number, severity) in
        [Severity::Warning, Severity::Warning, Severity::Error, Severity::Error, Severity::Warning]
            .into_iter()
            .enumerate()
    {
        let at = Moment::from_millis(i64::try_from(number).unwrap());
        let mut raised = incident(at);
        raised.severity = severity;
        let observation = Observation::firing(raised, EventId::of(&[&number.to_string()]));
        told.extend(
            record.apply(&observation, at, &policy).map(|notification| (number, notification.incident.severity)),
        );
    }
    assert_eq!(told, [(0, Severity::Warning), (2, Severity::Error)]);
}

#[test]
fn what_was_over_before_anything_was_heard_of_it_is_told_once_all_the_same() {
    let mut record = IncidentState::default();
    assert_eq!(run(&mut record, &[-40, 30, 20], 0), [(Status::Transient, 1)]);
    assert_eq!((record.is_open(), record.count()), (false, 2));
}

#[test]
fn nothing_is_forgotten_before_it_was_told() {
    let mut record = IncidentState::default();
    let now = Moment::from_millis(0);
    run(&mut record, &[10, 20], 0);
    assert!(record.expires(now) >= record.due().unwrap());
    let notification = IncidentState::default().apply(&observation(10), now, &Policy::default()).unwrap();
    record.outbox.push(OutboxEntry { notification, claimed: now });
    assert_eq!(record.expires(now), now.plus(UNSENT_MEMORY));
}

#[test]
fn announcements_of_one_incident_share_a_thread_and_no_two_share_an_id() {
    let mut record = IncidentState::default();
    let policy = Policy::default();
    let mut ids = HashMap::new();
    let mut threads = Vec::new();
    for (event, now) in [(10, 0), (20, HOUR), (-30, 2 * HOUR), (40, 3 * HOUR), (-50, 4 * HOUR)] {
        let told = record.apply(&observation(event), Moment::from_millis(now), &policy).unwrap();
        assert_eq!(ids.insert(told.id, event), None);
        threads.push(told.thread);
    }
    assert!(threads[0] == threads[1] && threads[1] == threads[2] && threads[3] == threads[4]);
    assert_ne!(threads[2], threads[3]);
    // Also not at the same time, nor with one from before everything was forgotten.
    let mut record = IncidentState::default();
    for event in [60, -70, 80, -90] {
        let told = record.apply(&observation(event), Moment::from_millis(5 * HOUR), &policy).unwrap();
        assert_eq!(ids.insert(told.id, event), None);
    }
}

/// All orders of a set.
fn orders(events: &[i64]) -> Vec<Vec<i64>> {
    let Some((first, rest)) = events.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut longer = order.clone();
            longer.insert(at, *first);
            all.push(longer);
        }
    }
    all
}

#[test]
#[allow(clippy::print_stdout)]
fn in_whatever_order_events_come_nothing_is_lost_and_the_end_is_right() {
    // Every choice of up to five events (six in a long run), each an occurrence or a recovery, in every order of arrival.
    let most = if std::env::var_os("SLUICE_SOAK_RUNS").is_some() { 6 } else { 5 };
    let mut cases = 0;
    for length in 1..=most {
        for choice in 0..2_u32.pow(length) {
            let events: Vec<i64> = (0..length)
                .map(|at| if choice >> at & 1 == 1 { i64::from(at) + 1 } else { -i64::from(at) - 1 })
                .collect();
            let occurrences = events.iter().filter(|event| **event > 0).count();
            for order in orders(&events) {
                let mut record = IncidentState::default();
                let told = run(&mut record, &order, 0);
                cases += 1;
                let begun = told.iter().filter(|(status, _)| matches!(status, Status::Opened)).count();
                let ended = told.iter().filter(|(status, _)| *status == Status::Resolved).count();
                let passed = told.iter().filter(|(status, _)| *status == Status::Transient).count();
                let open = events.last().is_some_and(|last| *last > 0);
                assert_eq!(record.is_open(), open, "{order:?}: {told:?}");
                assert_eq!(begun - ended, usize::from(open), "{order:?}: {told:?}");
                assert_eq!(begun + passed > 0, occurrences > 0, "{order:?}: {told:?}");
                // Never more than there were incidents.
                let mut before = 0;
                let incidents = events
                    .iter()
                    .filter(|event| std::mem::replace(&mut before, **event) <= 0 && **event > 0)
                    .count();
                assert!(begun + passed <= incidents, "{order:?}: {told:?}");
                // In order, each is told.
                if order == events {
                    assert_eq!((begun, passed), (incidents, 0), "{order:?}: {told:?}");
                }
            }
        }
    }
    println!("{cases} orders");
}
