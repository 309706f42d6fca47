//! What can be wrong: the closed list that messages, filter policies and runbooks share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How soon somebody has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// In working hours: nothing is broken yet.
    Warning,
    /// Something that should work does not.
    Error,
    /// Now: it stays broken until somebody acts, or it is open to everybody.
    Critical,
}

impl Severity {
    /// As it stands in messages and in the attribute `severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// One line a kind: its name, what it is called in a first line, and how it ends: some event says that it is over (`recovers`), every check finds it
/// until one does not (`lasts`), or nothing says so (`fades`).
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $title:literal $end:ident),* $(,)?) => {
        /// What is wrong. Its name is the value of the attribute `kind` and the name of the runbook.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {$(
            $(#[$doc])*
            #[serde(rename = $name)]
            $kind,
        )*}

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As it stands in the attribute `kind`, in file names and in keys.
            pub fn name(self) -> &'static str {
                match self {$(Self::$kind => $name),*}
            }

            /// What a first line begins with.
            pub fn title(self) -> &'static str {
                match self {$(Self::$kind => $title),*}
            }

            /// Whether an event or a later look says that it is over.
            pub fn recovers(self) -> bool {
                self.end() != End::Fades
            }

            /// Whether every check finds it again as long as it lasts: then it is told less often, also where a call told it first.
            pub fn lasts(self) -> bool {
                self.end() == End::Lasts
            }

            fn end(self) -> End {
                match self {$(Self::$kind => kinds!(@ $end)),*}
            }
        }
    };
    (@ recovers) => { End::Recovers };
    (@ lasts) => { End::Lasts };
    (@ fades) => { End::Fades };
}

#[derive(PartialEq, Eq)]
enum End {
    Recovers,
    Lasts,
    Fades,
}

kinds! {
    /// A rotation failed; the current credential goes on working.
    RotationFailed "rotation-failed" "Rotation failed" recovers,
    /// Another new version ended a rotation half-way.
    RotationAbandoned "rotation-abandoned" "Rotation abandoned" recovers,
    /// The try-out of a rotation's configuration failed.
    RotationTestFailed "rotation-test-failed" "Rotation test failed" recovers,
    /// A rotation took much longer than those before.
    RotationSlow "rotation-slow" "Rotation slow" fades,
    /// Found by `check-secrets`: the next rotation is in the past.
    RotationOverdue "rotation-overdue" "Rotation overdue" lasts,
    /// Found by `check-secrets`: a version carries AWSPENDING for too long.
    RotationStuck "rotation-stuck" "Rotation stuck half-way" lasts,
    /// Rotation was turned off, or `check-secrets` found that a secret which should rotate does not.
    RotationOff "rotation-off" "Rotation is off" lasts,
    /// Somebody wrote a value into a secret that rotates.
    SecretChangedByHand "secret-changed-by-hand" "Secret changed by hand" fades,
    /// A secret is marked for deletion: from this moment it cannot be read.
    SecretDeleted "secret-deleted" "Secret marked for deletion" lasts,
    /// Found by `check-secrets`: nobody reads it.
    SecretUnused "secret-unused" "Secret unused" lasts,
    /// Found by `check-secrets`: a replica is out of sync.
    ReplicaOutOfSync "replica-out-of-sync" "Secret replica out of sync" lasts,
    /// Found by `check-secrets`: the secrets of an account and Region could not be looked at.
    SecretsNotChecked "secrets-not-checked" "Secrets not checked" lasts,
    /// Somebody without the permission tried to read a secret.
    SecretAccessDenied "secret-access-denied" "Secret access denied" fades,
    /// A secret was read by somebody or as often as it is not usually.
    SecretAccessUnusual "secret-access-unusual" "Unusual secret access" fades,
    /// A stack could not be created, updated or deleted.
    StackFailed "stack-failed" "Stack failed" recovers,
    /// A stack is in a state that only a person ends.
    StackStuck "stack-stuck" "Stack stuck" recovers,
    /// An execution of a state machine failed, timed out or was aborted.
    ExecutionFailed "execution-failed" "State machine failed" recovers,
    /// A statement of the Data API failed or was aborted.
    StatementFailed "statement-failed" "SQL statement failed" recovers,
    /// An integration does not deliver.
    IntegrationFailed "integration-failed" "Integration failed" recovers,
    /// Somebody changed what the flow of files stands on.
    WarehouseChanged "warehouse-changed" "Warehouse changed" fades,
    /// A CloudWatch alarm.
    Alarm "alarm" "Alarm" recovers,
    /// Rules of a security group changed.
    SecurityGroupChanged "security-group-changed" "Security group changed" fades,
    /// A backup was not made, or not whole.
    BackupFailed "backup-failed" "Backup failed" recovers,
    /// A backup was not copied to the other vault.
    BackupCopyFailed "backup-copy-failed" "Backup copy failed" recovers,
    /// RDS or Redshift say that something is wrong with a database.
    DatabaseEvent "database-event" "Database event" fades,
    /// A function failed although Lambda repeated it.
    FunctionFailed "function-failed" "Function failed" fades,
    /// A failure queue holds messages.
    DeadLetter "dead-letter" "Undelivered messages" recovers,
    /// Events came that nobody here understands.
    UnknownEvents "unknown-events" "Unknown events" fades,
    /// More was to tell about one subject than is good.
    HeldBack "held-back" "Further alerts held back" fades,
    /// Found by `check-copy-jobs`: a file could not be loaded.
    FileInError "file-in-error" "File not loaded" recovers,
    /// Found by `check-copy-jobs`: an object is in the bucket and was never loaded.
    FileNeverLoaded "file-never-loaded" "File never loaded" fades,
    /// Found by `check-copy-jobs`: a loaded key has other content now.
    KeyOverwritten "key-overwritten" "Loaded file overwritten" fades,
    /// Found by `check-copy-jobs`: a job does not run by itself.
    CopyJobInactive "copy-job-inactive" "Copy job inactive" lasts,
    /// Found by `check-copy-jobs`: the newest load is too old.
    CopyLate "copy-late" "Copy job late" lasts,
    /// Found by `check-copy-jobs`: what happened cannot be known any more.
    CopyUnknown "copy-unknown" "Copy history unknown" fades,
    /// Found by `check-copy-jobs`: it cannot see what the jobs do, so that its silence means nothing.
    CopyNotWatched "copy-not-watched" "Copy jobs not watched" lasts,
}

impl Kind {
    /// The runbook, in the repository.
    pub fn runbook(self) -> String {
        format!("docs/runbooks/{}.md", self.name())
    }

    /// How long after its last occurrence an incident is remembered. One that comes again later is a new one.
    ///
    /// What has no event that ends it fades: a day without it is taken for the end.
    pub fn memory(self) -> Duration {
        let days = if self.recovers() { 30 } else { 1 };
        Duration::from_secs(days * 86_400)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_runbook_with_a_command() {
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
