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

/// Returns an occurrence for a positive number, a resolution for a negative one. The number is the time.
fn observation(event: i64) -> Observation {
    let at = Moment::from_millis(event.abs());
    let id = EventId::of(&[&event.to_string()]);
    let firing = incident(at);
    if event > 0 {
        Observation::firing(firing, id)
    } else {
        Observation::resolved(firing.key(), "works again", id, at)
    }
}

fn run(state: &mut IncidentState, events: &[i64], now: i64) -> Vec<(Status, u64)> {
    let policy = Policy::default();
    let notified = events
        .iter()
        .filter_map(|event| state.apply(&observation(*event), Moment::from_millis(now), &policy));
    notified.map(|notification| (notification.status, notification.count)).collect()
}

#[test]
fn first_occurrence_and_end_are_notified_once() {
    let mut state = IncidentState::default();
    assert_eq!(run(&mut state, &[10, 20, 30, -40, -50], 0), [(Status::Opened, 1), (Status::Resolved, 3)]);
    assert_eq!((state.is_open(), state.count()), (false, 3));
    // Late occurrences belong to the incident that was notified.
    assert_eq!(run(&mut state, &[35, 5], 0), []);
    assert_eq!(state.count(), 5);
    assert_eq!(run(&mut state, &[60], 0), [(Status::Opened, 1)]);
}

#[test]
fn incident_is_repeated_at_growing_intervals_without_events() {
    let mut state = IncidentState::default();
    let policy = Policy::default();
    run(&mut state, &[10], 0);
    assert_eq!(run(&mut state, &[20], HOUR / 4 - 1), []);
    assert_eq!(state.due(), Some(Moment::from_millis(HOUR / 4)));
    let key = incident(Moment::from_millis(10)).key();
    let notified = state.repeat_if_due(&key, Moment::from_millis(HOUR / 4), &policy).unwrap();
    assert_eq!((notified.status, notified.count), (Status::Repeated, 2));
    assert_eq!(
        (state.due(), state.repeat_if_due(&key, Moment::from_millis(9 * HOUR), &policy)),
        (None, None)
    );
    // The next interval is an hour.
    assert_eq!(run(&mut state, &[30], HOUR), []);
    assert_eq!(run(&mut state, &[40], HOUR + HOUR / 4), [(Status::Repeated, 4)]);
}

#[test]
fn higher_severity_is_notified_at_once_and_once() {
    let mut state = IncidentState::default();
    let policy = Policy::default();
    let mut notified = Vec::new();
    for (number, severity) in
        [Severity::Warning, Severity::Warning, Severity::Error, Severity::Error, Severity::Warning]
            .into_iter()
            .enumerate()
    {
        let at = Moment::from_millis(i64::try_from(number).unwrap());
        let mut firing = incident(at);
        firing.severity = severity;
        let observation = Observation::firing(firing, EventId::of(&[&number.to_string()]));
        notified.extend(
            state
                .apply(&observation, at, &policy)
                .map(|notification| (number, notification.incident.severity)),
        );
    }
    assert_eq!(notified, [(0, Severity::Warning), (2, Severity::Error)]);
}

#[test]
fn incident_that_resolved_before_its_first_event_is_transient() {
    let mut state = IncidentState::default();
    assert_eq!(run(&mut state, &[-40, 30, 20], 0), [(Status::Transient, 1)]);
    assert_eq!((state.is_open(), state.count()), (false, 2));
}

#[test]
fn state_does_not_expire_before_it_was_notified() {
    let mut state = IncidentState::default();
    let now = Moment::from_millis(0);
    run(&mut state, &[10, 20], 0);
    assert!(state.expires(now) >= state.due().unwrap());
    let notification = IncidentState::default().apply(&observation(10), now, &Policy::default()).unwrap();
    state.outbox.push(OutboxEntry { notification, claimed_until: now });
    assert_eq!(state.expires(now), now.plus(UNSENT_MEMORY));
}

#[test]
fn notifications_share_a_thread_and_have_unique_ids() {
    let mut state = IncidentState::default();
    let policy = Policy::default();
    let mut ids = HashMap::new();
    let mut threads = Vec::new();
    for (event, now) in [(10, 0), (20, HOUR), (-30, 2 * HOUR), (40, 3 * HOUR), (-50, 4 * HOUR)] {
        let notified = state.apply(&observation(event), Moment::from_millis(now), &policy).unwrap();
        assert_eq!(ids.insert(notified.id, event), None);
        threads.push(notified.thread);
    }
    assert!(threads[0] == threads[1] && threads[1] == threads[2] && threads[3] == threads[4]);
    assert_ne!(threads[2], threads[3]);
    // Also at the same time, and after the state was forgotten.
    let mut state = IncidentState::default();
    for event in [60, -70, 80, -90] {
        let notified = state.apply(&observation(event), Moment::from_millis(5 * HOUR), &policy).unwrap();
        assert_eq!(ids.insert(notified.id, event), None);
    }
}

/// Returns all orders of a set.
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
fn every_order_of_events_loses_nothing_and_ends_right() {
    // Every choice of up to five events (six in a soak test), in every order of arrival.
    let most = if std::env::var_os("SLUICE_SOAK_RUNS").is_some() { 6 } else { 5 };
    let mut cases = 0;
    for length in 1..=most {
        for choice in 0..2_u32.pow(length) {
            let events: Vec<i64> = (0..length)
                .map(|at| if choice >> at & 1 == 1 { i64::from(at) + 1 } else { -i64::from(at) - 1 })
                .collect();
            let occurrences = events.iter().filter(|event| **event > 0).count();
            for order in orders(&events) {
                let mut state = IncidentState::default();
                let notified = run(&mut state, &order, 0);
                cases += 1;
                let opened = notified.iter().filter(|(status, _)| matches!(status, Status::Opened)).count();
                let resolved = notified.iter().filter(|(status, _)| *status == Status::Resolved).count();
                let transient = notified.iter().filter(|(status, _)| *status == Status::Transient).count();
                let open = events.last().is_some_and(|last| *last > 0);
                assert_eq!(state.is_open(), open, "{order:?}: {notified:?}");
                assert_eq!(opened - resolved, usize::from(open), "{order:?}: {notified:?}");
                assert_eq!(opened + transient > 0, occurrences > 0, "{order:?}: {notified:?}");
                // Never more than there were incidents.
                let mut before = 0;
                let incidents = events
                    .iter()
                    .filter(|event| std::mem::replace(&mut before, **event) <= 0 && **event > 0)
                    .count();
                assert!(opened + transient <= incidents, "{order:?}: {notified:?}");
                // In order, each incident is notified.
                if order == events {
                    assert_eq!((opened, transient), (incidents, 0), "{order:?}: {notified:?}");
                }
            }
        }
    }
    println!("{cases} orders");
}
