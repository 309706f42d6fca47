//! The kinds of incidents: the closed list that messages, filter policies and runbooks share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The severity of an incident: how soon somebody has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    Info,
    /// During working hours: nothing is broken yet.
    Warning,
    /// Something that should work does not.
    Error,
    /// Immediately: it stays broken until somebody acts, or it is open to the public.
    Critical,
}

impl Severity {
    /// Returns the name in messages and in the attribute `severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// The way in which an incident of a kind ends.
#[derive(PartialEq, Eq)]
enum Lifetime {
    /// An event resolves it.
    Event,
    /// A check finds it for as long as it exists.
    Condition,
    /// It resolves automatically after a day without a recurrence.
    AutoResolves,
}

/// Defines the kinds, one line each: name, title and lifetime.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $title:literal $lifetime:ident),* $(,)?) => {
        /// The kind of an incident. Its name is the value of the attribute `kind` and the name of the
        /// runbook.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {$(
            $(#[$doc])*
            #[serde(rename = $name)]
            $kind,
        )*}

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the name in the attribute `kind`, in file names and in keys.
            pub fn name(self) -> &'static str {
                match self {$(Self::$kind => $name),*}
            }

            /// Returns the title that starts the first line of a message.
            pub fn title(self) -> &'static str {
                match self {$(Self::$kind => $title),*}
            }

            fn lifetime(self) -> Lifetime {
                match self {$(Self::$kind => Lifetime::$lifetime),*}
            }
        }
    };
}

kinds! {
    /// A rotation failed; the current credential still works.
    RotationFailed "rotation-failed" "Rotation failed" Event,
    /// Another new version ended a rotation before it was complete.
    RotationAbandoned "rotation-abandoned" "Rotation abandoned" Event,
    /// The test of a rotation's configuration failed.
    RotationTestFailed "rotation-test-failed" "Rotation test failed" Event,
    /// A rotation took much longer than earlier ones.
    RotationSlow "rotation-slow" "Rotation slow" AutoResolves,
    /// Found by `check-secrets`: the next rotation is in the past.
    RotationOverdue "rotation-overdue" "Rotation overdue" Condition,
    /// Found by `check-secrets`: a version has had the label AWSPENDING for too long.
    RotationStuck "rotation-stuck" "Rotation stuck half-way" Condition,
    /// Rotation was disabled, or `check-secrets` found that a secret does not rotate although it
    /// should.
    RotationDisabled "rotation-disabled" "Rotation disabled" Condition,
    /// A person wrote a value into a secret that rotates.
    SecretChangedByHand "secret-changed-by-hand" "Secret changed by hand" AutoResolves,
    /// A secret is marked for deletion and cannot be read any more.
    SecretDeleted "secret-deleted" "Secret marked for deletion" Condition,
    /// Found by `check-secrets`: no client reads the secret.
    SecretUnused "secret-unused" "Secret unused" Condition,
    /// Found by `check-secrets`: a replica is out of sync.
    ReplicaOutOfSync "replica-out-of-sync" "Secret replica out of sync" Condition,
    /// Found by `check-secrets`: the secrets of an account and Region could not be checked.
    SecretCheckFailed "secret-check-failed" "Secret check failed" Condition,
    /// A caller without permission tried to read a secret.
    SecretAccessDenied "secret-access-denied" "Secret access denied" AutoResolves,
    /// An unusual caller read a secret, or a caller read it unusually often.
    SecretAccessUnusual "secret-access-unusual" "Unusual secret access" AutoResolves,
    /// A stack could not be created, updated or deleted.
    StackFailed "stack-failed" "Stack failed" Event,
    /// A stack is in a state that it cannot leave without a person.
    StackStuck "stack-stuck" "Stack stuck" Event,
    /// An execution of a state machine failed, timed out or was aborted.
    ExecutionFailed "execution-failed" "State machine failed" Event,
    /// A statement of the Data API failed or was aborted.
    StatementFailed "statement-failed" "SQL statement failed" Event,
    /// An integration does not deliver.
    IntegrationFailed "integration-failed" "Integration failed" Event,
    /// A configuration that loading files depends on was changed.
    WarehouseChanged "warehouse-changed" "Warehouse changed" AutoResolves,
    /// A CloudWatch alarm.
    Alarm "alarm" "Alarm" Event,
    /// Rules of a security group changed.
    SecurityGroupChanged "security-group-changed" "Security group changed" AutoResolves,
    /// A backup was not created, or is incomplete.
    BackupFailed "backup-failed" "Backup failed" Event,
    /// A backup was not copied to the other vault.
    BackupCopyFailed "backup-copy-failed" "Backup copy failed" Event,
    /// RDS or Redshift reports a problem of a database.
    DatabaseEvent "database-event" "Database event" AutoResolves,
    /// A function failed in spite of Lambda's retries.
    FunctionFailed "function-failed" "Function failed" AutoResolves,
    /// A dead-letter queue holds messages.
    DeadLetter "dead-letter" "Undelivered messages" Event,
    /// Events arrived that the functions do not recognize.
    UnrecognizedEvents "unrecognized-events" "Unrecognized events" AutoResolves,
    /// More notifications about one subject than its rate limit allows.
    AlertsSuppressed "alerts-suppressed" "Alerts suppressed" AutoResolves,
    /// Found by `check-copy-jobs`: COPY rejected a file.
    FileRejected "file-rejected" "File rejected" Event,
    /// Found by `check-copy-jobs`: an object is in the bucket and was never loaded.
    FileNeverLoaded "file-never-loaded" "File never loaded" AutoResolves,
    /// Found by `check-copy-jobs`: an object was overwritten after it had been loaded.
    ObjectOverwritten "object-overwritten" "Loaded object overwritten" AutoResolves,
    /// Found by `check-copy-jobs`: a job does not load new files.
    CopyJobInactive "copy-job-inactive" "Copy job inactive" Condition,
    /// Found by `check-copy-jobs`: a job was dropped.
    CopyJobGone "copy-job-gone" "Copy job gone" AutoResolves,
    /// Found by `check-copy-jobs`: files have waited for longer than the job's limit.
    CopyDelayed "copy-delayed" "Copy job delayed" Condition,
    /// Found by `check-copy-jobs`: the load status of a period cannot be determined any more.
    CopyHistoryUnknown "copy-history-unknown" "Copy history unknown" AutoResolves,
    /// Found by `check-copy-jobs`: the copy jobs cannot be monitored.
    CopyMonitorFailed "copy-monitor-failed" "Copy monitor failed" Condition,
}

impl Kind {
    /// Returns true if a check finds the problem for as long as it exists. Such an incident is
    /// repeated less often, also if an event reported it first.
    pub fn is_condition(self) -> bool {
        self.lifetime() == Lifetime::Condition
    }

    /// Returns true if no event and no check ends such an incident: it resolves automatically after
    /// 24 hours without a recurrence.
    pub fn auto_resolves(self) -> bool {
        self.lifetime() == Lifetime::AutoResolves
    }

    /// Returns the path of the runbook in the repository.
    pub fn runbook(self) -> String {
        format!("docs/runbooks/{}.md", self.name())
    }

    /// Returns how long an incident is remembered after its last occurrence. A later occurrence is a
    /// new incident.
    pub fn memory(self) -> Duration {
        let days = if self.auto_resolves() { 1 } else { 30 };
        Duration::from_secs(days * 86_400)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_kind_has_a_unique_name_and_a_runbook_with_a_command() {
        let mut names = HashSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for kind in Kind::ALL {
            assert!(names.insert(kind.name()), "{}", kind.name());
            let path = root.join(kind.runbook());
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(text.starts_with(&format!("# {}", kind.title())), "{}", path.display());
            assert!(text.contains("```sh\n"), "{} has no command", path.display());
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.name()));
        }
        assert!(Severity::Critical > Severity::Error && Severity::Warning > Severity::Info);
    }
}
