//! Changes some keys of a secret while a rotation may change it, too.
//!
//! Secrets Manager has no compare-and-set for values, but it has one for labels: AWSCURRENT moves
//! only from the version that the call names. So the change writes a new version under a label of
//! its own, and moves AWSCURRENT to it only from the version that it is based on. If a rotation
//! finished in between, the move fails, and the change starts over with the rotation's value. While
//! a rotation is in progress, the change waits: the pending version is based on the old keys and
//! would undo the change.
//!
//! If a version is written during a rotation, Secrets Manager abandons the rotation ("Log Secrets
//! Manager events with AWS CloudTrail": RotationAbandoned). If the database has its new password by
//! then, AWSCURRENT never follows. So the change checks for a rotation right before each write. If
//! one began in between all the same, its version gets AWSPENDING back: the rotation is then
//! unfinished, as after any failed step, and continues when it is started again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::secret::{Labels, SecretError, SecretValue, SecretsManager, Versions};

/// The longest wait for a rotation: one takes seconds, unless it is stuck or repeated.
pub const MAX_ROTATION_WAIT: Duration = Duration::from_secs(60);

/// The pause between checks of a rotation.
const PAUSE: Duration = Duration::from_secs(2);

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The prefix of the ids of versions that a back-fill wrote. It distinguishes them from a
/// rotation's.
const ID_PREFIX: &str = "sluice-";

/// The error of a change.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The secret does not exist, or it is scheduled for deletion.
    #[error("there is no such secret in this account and Region, or it is being deleted")]
    Absent,
    /// The secret's value is not a JSON object.
    #[error("the secret's value is not a JSON object, so it cannot hold keys")]
    NotAnObject,
    /// A rotation did not finish in time.
    #[error(
        "a rotation of this secret is not finished after {0} s (version {1} has AWSPENDING). \
         Wait for its end, or start it again with `aws secretsmanager rotate-secret`. It has ended \
         if `aws secretsmanager describe-secret` shows AWSPENDING nowhere or beside AWSCURRENT. \
         Then repeat the operation"
    )]
    Rotating(u64, String),
    /// Other writers kept changing the secret.
    #[error(
        "the secret changed {0} times while its keys were being written; repeat the operation when \
         no other writer is active"
    )]
    Busy(u32),
    /// A call failed.
    #[error(transparent)]
    Call(lambda_kit::call::CallError),
}

impl From<SecretError> for BackfillError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Absent => Self::Absent,
            SecretError::NotAnObject => Self::NotAnObject,
            SecretError::LabelMoved => Self::Busy(1),
            SecretError::Call { error, .. } => Self::Call(error),
        }
    }
}

/// One change of some keys in a secret.
pub struct Backfill<'a, V> {
    /// The secret's versions.
    pub versions: &'a V,
    /// ARN of the secret.
    pub secret: &'a str,
    /// The request's id, from which version ids derive: they are the same in a duplicate delivery.
    pub request_id: &'a str,
    /// The owner's tag, part of the label.
    pub owner: &'a str,
    /// The end of all work.
    pub deadline: Instant,
    /// The most attempts of a write with transient errors.
    pub write_attempts: u32,
}

impl<'a> Backfill<'a, SecretsManager> {
    /// Creates the change of a secret in AWS Secrets Manager for the request with this id.
    pub fn new(
        versions: &'a SecretsManager,
        secret: &'a str,
        (request_id, deadline): (&'a str, Instant),
        owner: &'a str,
    ) -> Self {
        Self { versions, secret, request_id, owner, deadline, write_attempts: versions.attempts() }
    }
}

impl<V: Versions> Backfill<'_, V> {
    /// Applies `change` to AWSCURRENT's value until it holds. `change` returns `None` if it holds.
    ///
    /// # Errors
    /// See [`BackfillError`].
    pub async fn run(
        &self,
        change: impl Fn(&Map<String, Value>) -> Option<Map<String, Value>>,
    ) -> Result<(), BackfillError> {
        const TRIES: u32 = 10;
        let mut failed_writes = 0;
        for _ in 0..TRIES {
            self.wait_for_rotation().await?;
            let current = self.versions.current(self.secret).await?;
            let Some(wanted) = change(&current.value.0) else {
                self.remove_label().await?;
                return Ok(());
            };
            let label = self.label();
            let id = self.version_id(&current.id);
            let known = self.versions.all(self.secret).await?;
            // The last check before the write.
            if pending(&self.versions.labels(self.secret).await?).is_some() {
                continue;
            }
            let written = self.versions.put(self.secret, &id, &label, &SecretValue(wanted)).await;
            // Also after a write without a response: it may have taken effect.
            self.resume_abandoned(&known).await?;
            if let Err(error) = written {
                failed_writes += 1;
                self.pause_after(error, failed_writes).await?;
                continue;
            }
            // A rotation that began since the last check based its pending version on the old keys.
            if pending(&self.versions.labels(self.secret).await?).is_some() {
                continue;
            }
            match self.versions.move_label(self.secret, CURRENT, Some(&current.id), Some(&id)).await {
                Ok(()) | Err(SecretError::LabelMoved) => {}
                Err(error) => return Err(error.into()),
            }
            // Checked again from the top: a rotation that began before the move and ends after it
            // overwrites this version.
        }
        Err(BackfillError::Busy(TRIES))
    }

    /// Gives AWSPENDING back to a version that lost it because of this write: a version that is
    /// newer than `known`, that no back-fill wrote, and that has no label.
    async fn resume_abandoned(&self, known: &BTreeSet<String>) -> Result<(), BackfillError> {
        let all = self.versions.all(self.secret).await?;
        let labels = self.versions.labels(self.secret).await?;
        let mut new = all.difference(known).filter(|id| !id.starts_with(ID_PREFIX));
        let Some(abandoned) = new.find(|id| labels.get(*id).is_none_or(Vec::is_empty)) else { return Ok(()) };
        tracing::warn!(
            secret = self.secret,
            version = abandoned,
            "a rotation began while the secret was written; its version gets AWSPENDING back"
        );
        match self.versions.move_label(self.secret, PENDING, None, Some(abandoned)).await {
            Ok(()) | Err(SecretError::LabelMoved) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits before the next attempt if the error of a write is transient, such as a throttled call
    /// or a grant that has not propagated yet.
    async fn pause_after(&self, error: SecretError, failed_writes: u32) -> Result<(), BackfillError> {
        match error {
            SecretError::Call { error, is_transient: true } if failed_writes < self.write_attempts => {
                let pause = Duration::from_secs(1 << (failed_writes - 1).min(4));
                if Instant::now() + pause >= self.deadline {
                    return Err(BackfillError::Call(error));
                }
                tokio::time::sleep(pause).await;
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Waits until no version but the current one has AWSPENDING.
    async fn wait_for_rotation(&self) -> Result<(), BackfillError> {
        let since = Instant::now();
        loop {
            let Some(version) = pending(&self.versions.labels(self.secret).await?) else { return Ok(()) };
            let waited = since.elapsed();
            if waited >= MAX_ROTATION_WAIT || Instant::now() + PAUSE >= self.deadline {
                return Err(BackfillError::Rotating(waited.as_secs(), version));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes the back-fill's label. Secrets Manager deletes a version without labels in time.
    async fn remove_label(&self) -> Result<(), BackfillError> {
        let label = self.label();
        let labels = self.versions.labels(self.secret).await?;
        let Some(holder) = holder(&labels, &label) else { return Ok(()) };
        match self.versions.move_label(self.secret, &label, Some(&holder), None).await {
            Ok(()) | Err(SecretError::LabelMoved) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn label(&self) -> String {
        format!("sluice-endpoint-{}", self.owner)
    }

    /// Returns the new version's id, from the request and the version that the value is based on. A
    /// version id has 32 to 64 characters.
    fn version_id(&self, base: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.secret, self.request_id, base] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        format!("{ID_PREFIX}{}", &hex::encode(hash.finalize())[..32])
    }
}

/// Returns the version of a rotation in progress. AWSPENDING on the current version is a finished
/// one.
fn pending(labels: &Labels) -> Option<String> {
    let (id, stages) = labels.iter().find(|(_, stages)| stages.iter().any(|stage| stage == PENDING))?;
    (!stages.iter().any(|stage| stage == CURRENT)).then(|| id.clone())
}

fn holder(labels: &Labels, label: &str) -> Option<String> {
    labels.iter().find(|(_, stages)| stages.iter().any(|stage| stage == label)).map(|(id, _)| id.clone())
}
