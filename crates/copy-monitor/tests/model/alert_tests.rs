//! Findings that become alerts: what on-call people get out of a day in which anything goes wrong between the two.

use std::collections::{BTreeMap, HashMap};

use alerts::announcer::{Announcer as Alerts, Turn};
use alerts::faults::{Fault as AlertFault, World as Night};
use alerts::state::Policy;

use super::crash_tests::day;
use crate::adapters::Incidents;
use crate::finding::{self, Finding};
use crate::ports::Announcer;

/// Tells what the monitor handed over, in its order. A finding that could not be told, or whose invocation died, is handed over again, as the monitor does.
async fn tell(night: &Night, findings: &[Finding]) {
    for finding in findings {
        for attempt in 0_u32.. {
            assert!(attempt < 4, "{} cannot be told", finding.id);
            night.revive();
            // Each invocation begins when the one before is over for certain.
            let now = finding.noticed.plus(super::drill::MINUTE * 20 * attempt);
            let turn = Turn { now, until: now.plus(super::drill::MINUTE * 15) };
            let incidents = Incidents::new(Alerts::new(night, night, Policy::default()), turn);
            if incidents.announce(finding).await.is_ok() && !night.is_dead() {
                break;
            }
        }
    }
}

/// How often each message went out, by its id, and its status.
fn told(night: &Night) -> BTreeMap<String, (String, u32)> {
    let mut told: BTreeMap<String, (String, u32)> = BTreeMap::new();
    for message in night.published() {
        let attributes: BTreeMap<_, _> = message.attributes.into_iter().collect();
        told.entry(attributes["id"].clone()).or_insert((attributes["status"].clone(), 0)).1 += 1;
    }
    told
}

fn of_status(told: &BTreeMap<String, (String, u32)>, status: &str) -> usize {
    told.values().filter(|(found, _)| found == status).count()
}

/// What must be told: each finding once, whatever happened.
fn check(night: &Night, findings: &[Finding], published_twice: u32) {
    let told = told(night);
    let unique: BTreeMap<&str, finding::Turn> =
        findings.iter().map(|finding| (finding.id.as_str(), finding.turn)).collect();
    let began = unique.values().filter(|turn| **turn == finding::Turn::Began).count();
    assert_eq!(of_status(&told, "opened"), began, "{told:?}");
    assert_eq!(of_status(&told, "recovered"), unique.len() - began, "{told:?}");
    assert_eq!(told.len(), unique.len(), "nothing else was told: {told:?}");
    let more: u32 = told.values().map(|(_, times)| times - 1).sum();
    assert!(more <= published_twice, "{more} messages went out twice: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_the_monitor_hands_over_twice_is_told_once() {
    let (drill, calls) = day(None).await;
    let quiet = drill.told();
    assert!(quiet.iter().any(|finding| finding.turn == finding::Turn::Over), "{quiet:?}");
    let mut twice = 0;
    // A death right after the announcement, before it is noted, at every such call of the day.
    for (step, made) in calls.iter().enumerate() {
        for call in 0..*made {
            let (drill, _) = day(Some((step, call, lambda_kit::faults::Fault::DiesAfter))).await;
            let handed = drill.told();
            let ids: std::collections::HashSet<&str> =
                handed.iter().map(|finding| finding.id.as_str()).collect();
            if ids.len() == handed.len() {
                continue;
            }
            twice += 1;
            let night = Night::new(HashMap::new());
            tell(&night, &handed).await;
            check(&night, &handed, 0);
        }
    }
    assert!(twice >= 4, "only {twice} deaths lead to a finding that is handed over twice");
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_of_the_announcer_loses_no_alert() {
    let findings = day(None).await.0.told();
    let night = Night::new(HashMap::new());
    tell(&night, &findings).await;
    check(&night, &findings, 0);
    let calls = night.calls().0;
    assert!(calls > 20, "{calls}");
    for call in 0..calls {
        for fault in AlertFault::ALL {
            let night = Night::new(HashMap::from([(call, fault)]));
            tell(&night, &findings).await;
            // The one duplicate that can remain: published, and not taken out of the state.
            check(&night, &findings, 1);
        }
    }
}
