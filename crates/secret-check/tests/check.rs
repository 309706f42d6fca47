//! A whole check: its calls for 10,000 secrets, and the adapter against responses of Secrets Manager.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashMap;
use std::time::Duration;

use alerts::incident::AccountRegion;
use alerts::kind::Kind;
use alerts::moment::Moment;
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
use secret_check::accounts::Overview;
use secret_check::adapter::SecretsManager;
use secret_check::rules::Rules;
use secret_check::secret::{Details, Replica, Secret, Secrets};
use secret_check::{CheckError, Summary, check};
use tokio::time::Instant;

const DAY: u64 = 86_400;
const NOW: u64 = 20_000 * DAY;

fn now() -> Moment {
    Moment::BEGINNING.plus(Duration::from_secs(NOW))
}

fn days_ago(days: u64) -> DateTime {
    DateTime::from_secs(i64::try_from(NOW - days * DAY).unwrap())
}

fn rules() -> Rules {
    Rules::new(AccountRegion::new("222222222222", "us-east-1"))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

/// Secrets that are created while they are listed: of each hundred, three are overdue, two stuck, one is
/// replicated and one will be deleted.
struct Lazy {
    secrets: u64,
}

impl Secrets for Lazy {
    async fn page(&self, next: Option<String>) -> Result<(Vec<Secret>, Option<String>), CallError> {
        let first: u64 = next.map_or(0, |next| next.parse().unwrap());
        let last = (first + 100).min(self.secrets);
        let at = |days: u64| Some(now().minus(Duration::from_secs(days * DAY)));
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
                next_rotation: if kind < 3 { at(1) } else { Some(now().plus(Duration::from_secs(DAY))) },
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

    async fn version_created(&self, _: &str, _: &str) -> Result<Option<Moment>, CallError> {
        Ok(Some(now().minus(Duration::from_secs(2 * DAY))))
    }
}

/// KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[tokio::test]
async fn ten_thousand_secrets_need_few_calls_and_flat_memory() {
    println!("| secrets | calls | incidents | ms | peak MiB of the process |");
    println!("|---|---|---|---|---|");
    let mut peaks = Vec::new();
    for secrets in [10, 100, 1_000, 10_000] {
        let lazy = Lazy { secrets };
        let begun = std::time::Instant::now();
        let findings = check(&rules(), &lazy, now(), soon()).await;
        let took = begun.elapsed();
        assert!(findings.error.is_none(), "{:?}", findings.error);
        let (summary, found) = (findings.summary, findings.incidents.len() as u64);
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
            let of = |kind| summary.incidents[&kind];
            assert_eq!((of(Kind::RotationOverdue), of(Kind::RotationStuck)), (hundreds * 3, hundreds * 2));
            assert_eq!((of(Kind::ReplicaOutOfSync), of(Kind::SecretDeleted)), (hundreds, hundreds));
            assert_eq!(found, hundreds * 7);
        }
    }
    // The first one has what the process itself needs.
    // The kernel's number is a little behind, so the later one may even be smaller.
    assert!(peaks[3].saturating_sub(peaks[0]) < 8 * 1024, "{peaks:?} KiB");
}

#[tokio::test(start_paused = true)]
async fn check_that_times_out_states_its_progress() {
    let findings = check(&rules(), &Lazy { secrets: 10 }, now(), Instant::now()).await;
    let error = findings.error.unwrap();
    assert!(matches!(error, CheckError::TimedOut { seen: 0 }), "{error}");
    assert_eq!(error.to_string(), "timed out after 0 secrets; increase the function's timeout");
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
async fn adapter_lists_planned_deletions_and_reads_only_what_is_needed() {
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
    let findings = check(&rules(), &manager, now(), soon()).await;
    assert!(findings.error.is_none(), "{:?}", findings.error);
    let summary = &findings.summary;
    // Each lookup counts as one call, also if a secret has several pages of versions.
    assert_eq!((summary.secrets, summary.calls, summary.access_denied.len()), (5, 5, 0));
    let found = &findings.incidents;
    let ids: Vec<_> = found
        .iter()
        .map(|incident| (incident.kind, incident.subject.as_str(), incident.dedup_key.as_deref()))
        .collect();
    assert_eq!(
        ids,
        [
            (Kind::RotationOverdue, "arn:overdue", None),
            (Kind::RotationStuck, "arn:pending", Some("v2")),
            (Kind::RotationDisabled, "arn:off", None),
            (Kind::ReplicaOutOfSync, "arn:replicated", Some("eu-west-1")),
            (Kind::SecretDeleted, "arn:deleted", None),
        ]
    );
    let deletion = format!("deleted at {}", now().plus(Duration::from_secs(DAY)));
    assert!(found[4].what.contains(&deletion), "{}", found[4].what);
    let since = format!("since {}", now().minus(Duration::from_secs(4 * DAY)));
    assert!(found[1].what.contains(&since), "{}", found[1].what);
}

#[tokio::test]
async fn denied_secret_does_not_end_the_check_but_other_errors_do() {
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
    let findings = check(&rules(), &manager(&[&listed, &refused, &gone]), now(), soon()).await;
    assert_eq!((findings.summary.secrets, findings.summary.access_denied.len()), (2, 1));
    assert!(findings.error.is_none(), "{:?}", findings.error);
    assert!(!findings.summary.covers(Kind::ReplicaOutOfSync, "arn:one"));
    assert!(findings.summary.covers(Kind::RotationOverdue, "arn:one"));

    let (listed, broken) = (list(), failing("InternalServiceError"));
    let findings = check(&rules(), &manager(&[&listed, &broken]), now(), soon()).await;
    let error = findings.error.unwrap().to_string();
    assert!(error.starts_with("secretsmanager:DescribeSecret: InternalServiceError"), "{error}");
}

#[test]
fn metrics_have_every_kind_even_if_nothing_was_found() {
    let mut overview = Overview { checked: 3, ..Overview::default() };
    overview.summary = Summary { secrets: 7, ..Summary::default() };
    overview.summary.incidents.insert(Kind::RotationStuck, 2);
    overview.not_checked.push((AccountRegion::new("111111111111", "us-east-1"), "no".into()));
    let metrics = overview.metrics(now()).to_json();
    let number = |name: &str| metrics[name].as_u64();
    assert_eq!(
        (number("Secrets"), number("RotationStuck"), number("RotationOverdue")),
        (Some(7), Some(2), Some(0))
    );
    assert_eq!((number("SecretChecks"), number("AccountsNotChecked")), (Some(3), Some(1)));
    assert_eq!(metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Sluice/Secrets");
}
