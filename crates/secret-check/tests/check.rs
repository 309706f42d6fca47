//! A whole check: what it costs at 10^4 secrets, and the adapter against answers of Secrets Manager.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alerts::incident::AccountRegion;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::describe_secret::{DescribeSecretError, DescribeSecretOutput};
use aws_sdk_secretsmanager::operation::list_secret_version_ids::ListSecretVersionIdsOutput;
use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{
    ReplicationStatusType, SecretListEntry, SecretVersionsListEntry, StatusType, Tag,
};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use aws_smithy_types::DateTime;
use aws_smithy_types::error::ErrorMetadata;
use lambda_kit::call::CallError;
use secret_check::adapter::SecretsManager;
use secret_check::finding::{Finding, Problem};
use secret_check::places::Overview;
use secret_check::rules::Rules;
use secret_check::secret::{Details, Replica, Secret, Secrets};
use secret_check::{CheckError, Sink, Summary, check};
use tokio::time::Instant;

const DAY: u64 = 86_400;
const NOW: u64 = 20_000 * DAY;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn days_ago(days: u64) -> DateTime {
    DateTime::from_secs(i64::try_from(NOW - days * DAY).unwrap())
}

fn rules() -> Rules {
    Rules::new("222222222222".into(), "us-east-1".into())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

#[derive(Default)]
struct Found(Mutex<Vec<Finding>>);

impl Sink for Found {
    async fn found(&self, finding: &Finding) -> Result<(), CallError> {
        self.0.lock().unwrap().push(finding.clone());
        Ok(())
    }
}

/// Counts findings, and keeps none.
#[derive(Default)]
struct Counted(Mutex<u64>);

impl Sink for Counted {
    async fn found(&self, _: &Finding) -> Result<(), CallError> {
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}

/// Secrets that are made while they are listed: of each hundred three are overdue, two stuck, one is replicated, one will be deleted.
struct Lazy {
    secrets: u64,
}

impl Secrets for Lazy {
    async fn page(&self, next: Option<String>) -> Result<(Vec<Secret>, Option<String>), CallError> {
        let first: u64 = next.map_or(0, |next| next.parse().unwrap());
        let last = (first + 100).min(self.secrets);
        let at = |days: u64| Some(now() - Duration::from_secs(days * DAY));
        let page = (first..last).map(|number| {
            let kind = number % 100;
            let mut labels = HashMap::from([(format!("current-{number}"), vec!["AWSCURRENT".to_owned()])]);
            if kind == 3 || kind == 4 {
                labels.insert(format!("pending-{number}"), vec!["AWSPENDING".to_owned()]);
            }
            Secret {
                arn: format!("arn:aws:secretsmanager:us-east-1:222222222222:secret:s{number}-AbCdEf"),
                name: format!("s{number}"),
                rotates: true,
                has_rotation_function: true,
                last_rotated: at(5),
                next_rotation: if kind < 3 { at(1) } else { Some(now() + Duration::from_secs(DAY)) },
                last_changed: if kind == 4 { at(0) } else { at(5) },
                last_accessed: at(1),
                created: at(300),
                deleted: at(1).filter(|_| kind == 6),
                primary_region: (kind == 5).then(|| "us-east-1".to_owned()),
                labels,
                ..Secret::default()
            }
        });
        Ok((page.collect(), (last < self.secrets).then(|| last.to_string())))
    }

    async fn details(&self, _: &str) -> Result<Option<Details>, CallError> {
        let replicas = vec![Replica {
            region: "eu-west-1".into(),
            status: "Failed".into(),
            message: Some("no key".into()),
        }];
        Ok(Some(Details { replicas, deletion: None }))
    }

    async fn version_created(&self, _: &str, _: &str) -> Result<Option<SystemTime>, CallError> {
        Ok(Some(now() - Duration::from_secs(2 * DAY)))
    }
}

/// KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[tokio::test]
async fn ten_thousand_secrets_are_a_hundred_calls_and_those_few_that_are_needed() {
    println!("| secrets | calls | findings | ms | peak MiB of the process |");
    println!("|---|---|---|---|---|");
    let mut peaks = Vec::new();
    for secrets in [10, 100, 1_000, 10_000] {
        let (lazy, sink) = (Lazy { secrets }, Counted::default());
        let begun = std::time::Instant::now();
        let summary = check(&rules(), &lazy, &sink, now(), soon()).await.unwrap();
        let took = begun.elapsed();
        let found = *sink.0.lock().unwrap();
        peaks.push(peak());
        println!(
            "| {secrets} | {} | {found} | {} | {:.1} |",
            summary.calls,
            took.as_millis(),
            peaks[peaks.len() - 1] as f64 / 1024.0
        );
        assert_eq!(summary.secrets, secrets);
        // One page for each hundred, and of each hundred one version, one replicated secret and one that will be deleted.
        let hundreds = secrets.div_ceil(100);
        assert_eq!(summary.calls, hundreds * 4);
        if secrets >= 100 {
            let of = |kind| summary.findings[kind];
            assert_eq!((of("Overdue"), of("Stuck")), (hundreds * 3, hundreds * 2));
            assert_eq!((of("ReplicaOutOfSync"), of("ScheduledForDeletion")), (hundreds, hundreds));
            assert_eq!(found, hundreds * 7);
        }
    }
    // The first one has what the process itself needs.
    // The kernel's number is a little behind, so the later one may even be smaller.
    assert!(peaks[3].saturating_sub(peaks[0]) < 8 * 1024, "{peaks:?} KiB");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_runs_out_of_time_says_how_far_it_came() {
    let sink = Counted::default();
    let result = check(&rules(), &Lazy { secrets: 10 }, &sink, now(), Instant::now()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, CheckError::OutOfTime { seen: 0 }), "{error}");
}

fn manager(rules: &[&Rule]) -> SecretsManager {
    SecretsManager::new(mock_client!(aws_sdk_secretsmanager, RuleMode::Sequential, rules))
}

fn entry(name: &str) -> aws_sdk_secretsmanager::types::builders::SecretListEntryBuilder {
    SecretListEntry::builder()
        .arn(format!("arn:{name}"))
        .name(name)
        .created_date(days_ago(300))
        .last_accessed_date(days_ago(1))
        .last_changed_date(days_ago(0))
}

#[tokio::test]
async fn the_adapter_lists_with_planned_deletions_and_asks_only_what_is_open() {
    let first = mock!(Client::list_secrets)
        .match_requests(|request| {
            request.include_planned_deletion() == Some(true)
                && request.max_results() == Some(100)
                && request.next_token().is_none()
        })
        .then_output(|| {
            let overdue = entry("overdue").rotation_enabled(true).next_rotation_date(days_ago(3)).build();
            let pending = entry("pending")
                .rotation_enabled(true)
                .secret_versions_to_stages("v1", vec!["AWSCURRENT".into()])
                .secret_versions_to_stages("v2", vec!["AWSPENDING".into()])
                .build();
            ListSecretsOutput::builder().secret_list(overdue).secret_list(pending).next_token("more").build()
        });
    let versions = mock!(Client::list_secret_version_ids)
        .match_requests(|request| {
            request.secret_id() == Some("arn:pending") && request.next_token().is_none()
        })
        .then_output(|| {
            let other = SecretVersionsListEntry::builder().version_id("v1").created_date(days_ago(9)).build();
            ListSecretVersionIdsOutput::builder().versions(other).next_token("v").build()
        });
    let more_versions = mock!(Client::list_secret_version_ids)
        .match_requests(|request| request.next_token() == Some("v"))
        .then_output(|| {
            let found = SecretVersionsListEntry::builder().version_id("v2").created_date(days_ago(4)).build();
            ListSecretVersionIdsOutput::builder().versions(found).build()
        });
    let second = mock!(Client::list_secrets)
        .match_requests(|request| request.next_token() == Some("more"))
        .then_output(|| {
            let tag = Tag::builder().key("sluice:rotation").value("on").build();
            let off = entry("off").tags(tag).build();
            let replicated = entry("replicated").primary_region("us-east-1").build();
            let deleted = entry("deleted").deleted_date(days_ago(2)).build();
            ListSecretsOutput::builder().secret_list(off).secret_list(replicated).secret_list(deleted).build()
        });
    let replicas = mock!(Client::describe_secret)
        .match_requests(|request| request.secret_id() == Some("arn:replicated"))
        .then_output(|| {
            let failed = ReplicationStatusType::builder()
                .region("eu-west-1")
                .status(StatusType::Failed)
                .status_message("no key")
                .build();
            DescribeSecretOutput::builder().replication_status(failed).build()
        });
    let deletion = mock!(Client::describe_secret)
        .match_requests(|request| request.secret_id() == Some("arn:deleted"))
        .then_output(|| {
            DescribeSecretOutput::builder().deleted_date(DateTime::from_secs((NOW + DAY) as i64)).build()
        });
    let manager = manager(&[&first, &versions, &more_versions, &second, &replicas, &deletion]);
    let found = Found::default();
    let summary = check(&rules(), &manager, &found, now(), soon()).await.unwrap();
    // Each question counts as one call, also where a secret has more versions than a page.
    assert_eq!((summary.secrets, summary.calls, summary.not_asked.len()), (5, 5, 0));
    let found = found.0.into_inner().unwrap();
    let ids: Vec<_> = found.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "Overdue:arn:overdue:",
            "Stuck:arn:pending:v2",
            "RotationOff:arn:off:",
            "ReplicaOutOfSync:arn:replicated:eu-west-1",
            "ScheduledForDeletion:arn:deleted:"
        ]
    );
    let deletion = Some(now() + Duration::from_secs(DAY));
    assert_eq!(found[4].problem, Problem::ScheduledForDeletion { deletion });
    let text = serde_json::to_value(&found[1]).unwrap();
    assert_eq!((text["kind"].as_str(), text["version"].as_str()), (Some("Stuck"), Some("v2")));
    assert_eq!(text["since"].as_u64(), Some(NOW - 4 * DAY));
}

#[tokio::test]
async fn a_secret_whose_own_policy_forbids_asking_does_not_end_the_check_and_other_errors_do() {
    let list = || {
        mock!(Client::list_secrets).then_output(|| {
            let replicated = |name| entry(name).primary_region("us-east-1").build();
            ListSecretsOutput::builder().secret_list(replicated("one")).secret_list(replicated("two")).build()
        })
    };
    let failing = |code: &'static str| {
        mock!(Client::describe_secret)
            .then_error(move || DescribeSecretError::generic(ErrorMetadata::builder().code(code).build()))
    };
    let (listed, refused, gone) =
        (list(), failing("AccessDeniedException"), failing("ResourceNotFoundException"));
    let sink = Counted::default();
    let summary = check(&rules(), &manager(&[&listed, &refused, &gone]), &sink, now(), soon()).await.unwrap();
    assert_eq!((summary.secrets, summary.not_asked.len()), (2, 1));

    let (listed, broken) = (list(), failing("InternalServiceError"));
    let result = check(&rules(), &manager(&[&listed, &broken]), &sink, now(), soon()).await;
    assert!(
        result.unwrap_err().to_string().starts_with("secretsmanager:DescribeSecret: InternalServiceError")
    );
}

#[test]
fn the_metrics_have_every_kind_also_when_nothing_was_found() {
    let mut overview = Overview { checked: 3, ..Overview::default() };
    overview.summary = Summary { secrets: 7, ..Summary::default() };
    overview.summary.findings.insert("Stuck", 2);
    overview.not_checked.push((AccountRegion::new("111111111111", "us-east-1"), "no".into()));
    let metrics = overview.metrics(now()).to_json();
    let number = |name: &str| metrics[name].as_u64();
    assert_eq!((number("Secrets"), number("Stuck"), number("Overdue")), (Some(7), Some(2), Some(0)));
    assert_eq!((number("SecretChecks"), number("PlacesNotChecked")), (Some(3), Some(1)));
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Sluice/Secrets");
}
