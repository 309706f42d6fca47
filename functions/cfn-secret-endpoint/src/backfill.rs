//! Changing some keys of a secret that a rotation may change at the same moment.
//!
//! Secrets Manager has no compare-and-set on values, but it has one on labels: AWSCURRENT moves only from the version
//! that is named. So the new value is written as a version of its own, under a label of its own, and AWSCURRENT moves to
//! it only from the version that it was made of. A rotation that finished in between makes the move fail, and the change
//! starts over from the rotation's value. A rotation that is under way is waited out: its pending version was made of
//! the old keys and would take ours away again.
//!
//! A version that is written during a rotation makes Secrets Manager abandon the rotation ("Log Secrets Manager events
//! with AWS CloudTrail": RotationAbandoned). If the database has its new password by then, AWSCURRENT would never follow.
//! So nothing is written without a look right before it, a write is never repeated without another look, and if a
//! rotation began between look and write all the same, its version gets AWSPENDING back: the rotation is unfinished, as
//! after any failed step, and goes on from there when it is started again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::secret::{Labels, SecretError, SecretValue, Versions};

/// How long a rotation is waited out: a rotation takes seconds, and one that takes longer is stuck or repeated.
pub(crate) const LONGEST_ROTATION: Duration = Duration::from_secs(60);

/// Pause between looks at a rotation.
const PAUSE: Duration = Duration::from_secs(2);

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// Begins the ids of versions that a back-fill wrote, so that no back-fill takes another's for a rotation's.
const OURS: &str = "sluice-";

/// Why the secret was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackfillError {
    #[error("there is no such secret in this account and Region, or it is being deleted")]
    Absent,
    #[error("the secret's value is not a JSON object, so it has no room for keys")]
    NotAnObject,
    #[error(
        "a rotation of this secret is not finished after {0} s (version {1} carries AWSPENDING). Let it end, or start it again with \
         `aws secretsmanager rotate-secret`; it has ended when `aws secretsmanager describe-secret` shows AWSPENDING nowhere or \
         beside AWSCURRENT. Then repeat the operation"
    )]
    Rotating(u64, String),
    #[error(
        "the secret changed {0} times while its keys were being written; repeat the operation when its writers rest"
    )]
    Busy(u32),
    #[error(transparent)]
    Call(lambda_kit::call::CallError),
}

impl From<SecretError> for BackfillError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Absent => Self::Absent,
            SecretError::NotAnObject => Self::NotAnObject,
            SecretError::Moved => Self::Busy(1),
            SecretError::Call { error, .. } => Self::Call(error),
        }
    }
}

/// One change of some keys.
pub(crate) struct Backfill<'a, V> {
    pub(crate) versions: &'a V,
    pub(crate) secret: &'a str,
    /// Makes version ids that are the same in a duplicate delivery.
    pub(crate) request_id: &'a str,
    /// Tag of the owner; part of the label.
    pub(crate) owner: &'a str,
    pub(crate) deadline: Instant,
    /// Times that a write is tried whose failure may pass.
    pub(crate) write_attempts: u32,
}

impl<V: Versions> Backfill<'_, V> {
    /// Applies `change` to AWSCURRENT's value until it holds. `change` returns `None` when nothing is to be done.
    pub(crate) async fn run(
        &self,
        change: impl Fn(&Map<String, Value>) -> Option<Map<String, Value>>,
    ) -> Result<(), BackfillError> {
        const TRIES: u32 = 10;
        let mut failed_writes = 0;
        for _ in 0..TRIES {
            self.wait_for_rotation().await?;
            let current = self.versions.current(self.secret).await?;
            let Some(wanted) = change(&current.value.0) else {
                self.tidy().await?;
                return Ok(());
            };
            let label = self.label();
            let id = self.version_id(&current.id);
            let known = self.versions.all(self.secret).await?;
            // The last look before the write.
            if pending(&self.versions.labels(self.secret).await?).is_some() {
                continue;
            }
            let written = self.versions.put(self.secret, &id, &label, &SecretValue(wanted)).await;
            // Also after a write without an answer: it may have arrived.
            self.resume_abandoned(&known).await?;
            if let Err(error) = written {
                failed_writes += 1;
                self.pause_after(error, failed_writes).await?;
                continue;
            }
            // A rotation that began since the last look made its pending version of the old keys.
            if pending(&self.versions.labels(self.secret).await?).is_some() {
                continue;
            }
            match self.versions.move_label(self.secret, CURRENT, Some(&current.id), Some(&id)).await {
                Ok(()) | Err(SecretError::Moved) => {}
                Err(error) => return Err(error.into()),
            }
            // Looked at again from the top: a rotation that began before the move and ends after it wins over ours.
        }
        Err(BackfillError::Busy(TRIES))
    }

    /// Gives AWSPENDING back to a version that lost it because ours was written. It came after `known` was read, no
    /// back-fill wrote it, and nothing labels it.
    async fn resume_abandoned(&self, known: &BTreeSet<String>) -> Result<(), BackfillError> {
        let all = self.versions.all(self.secret).await?;
        let labels = self.versions.labels(self.secret).await?;
        let mut new = all.difference(known).filter(|id| !id.starts_with(OURS));
        let Some(abandoned) = new.find(|id| labels.get(*id).is_none_or(Vec::is_empty)) else { return Ok(()) };
        tracing::warn!(
            secret = self.secret,
            version = abandoned,
            "a rotation began while the secret was written; it was abandoned and gets AWSPENDING back"
        );
        match self.versions.move_label(self.secret, PENDING, None, Some(abandoned)).await {
            Ok(()) | Err(SecretError::Moved) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits before the next try if the failure of a write may pass, such as a throttled call or a grant that spreads.
    async fn pause_after(&self, error: SecretError, failed_writes: u32) -> Result<(), BackfillError> {
        match error {
            SecretError::Call { error, passing: true } if failed_writes < self.write_attempts => {
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

    /// Waits until no version but the current one is pending.
    async fn wait_for_rotation(&self) -> Result<(), BackfillError> {
        let since = Instant::now();
        loop {
            let Some(version) = pending(&self.versions.labels(self.secret).await?) else { return Ok(()) };
            let waited = since.elapsed();
            if waited >= LONGEST_ROTATION || Instant::now() + PAUSE >= self.deadline {
                return Err(BackfillError::Rotating(waited.as_secs(), version));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes our label off: a version without a label is forgotten by Secrets Manager in time.
    async fn tidy(&self) -> Result<(), BackfillError> {
        let label = self.label();
        let labels = self.versions.labels(self.secret).await?;
        let Some(holder) = holder(&labels, &label) else { return Ok(()) };
        match self.versions.move_label(self.secret, &label, Some(&holder), None).await {
            Ok(()) | Err(SecretError::Moved) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn label(&self) -> String {
        format!("sluice-endpoint-{}", self.owner)
    }

    /// Made of the request and of the version that the value was made of: a new base is a new version.
    /// A version id is 32 to 64 characters long.
    fn version_id(&self, base: &str) -> String {
        let mut hash = Sha256::new();
        for part in [self.secret, self.request_id, base] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        format!("{OURS}{}", &hex::encode(hash.finalize())[..32])
    }
}

/// The version of a rotation that is under way. AWSPENDING on the current version is a finished one.
fn pending(labels: &Labels) -> Option<String> {
    let (id, stages) = labels.iter().find(|(_, stages)| stages.iter().any(|stage| stage == PENDING))?;
    (!stages.iter().any(|stage| stage == CURRENT)).then(|| id.clone())
}

fn holder(labels: &Labels, label: &str) -> Option<String> {
    labels.iter().find(|(_, stages)| stages.iter().any(|stage| stage == label)).map(|(id, _)| id.clone())
}
