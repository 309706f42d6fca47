//! Convergence of a document that several owners write, without a revision to write against.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::document::{Document, DocumentError, Statement};

/// The storage of a document.
pub trait PolicyStore: Sync {
    /// Returns the document's text, or `None` if there is none.
    fn get(&self) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;
    /// Replaces the whole document.
    fn put(&self, text: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Deletes the document. If there is none, that is success.
    fn delete(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The error of a change.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer is active. The call can be repeated.
    #[error("another writer is changing the policy")]
    Conflict,
    /// The existing document is not a policy.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] lambda_kit::call::CallError),
    /// Other writers kept replacing the document, or the statements never appeared in it.
    #[error("the policy did not converge in {0} writes: another writer keeps replacing it")]
    NotConverged(u32),
}

impl StoreError {
    /// Returns true if a write may have changed the document although the change failed.
    pub fn may_have_written(&self) -> bool {
        match self {
            Self::Document(_) => false,
            Self::Call(error) => !error.is_access_denied(),
            Self::Conflict | Self::NotConverged(_) => true,
        }
    }
}

/// The limits of a convergence.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// The most writes.
    pub writes: u32,
    /// The pause before the read after a write. The real pause is between half and all of it, and
    /// doubles with each write. Between the two reads before a write it is a quarter.
    pub pause: Duration,
    /// The end of all writes.
    pub until: Instant,
}

impl Attempts {
    /// Allows eight writes, half a second apart at first.
    pub fn until(until: Instant) -> Self {
        Self { writes: 8, pause: Duration::from_millis(500), until }
    }
}

/// Changes the document so that `ours` are exactly the statements of the owner with this tag, and
/// keeps everything else. Returns the number of writes: 0 if the document needed no change.
///
/// Two equal reads precede a write, which detects another active owner. A read follows it, which
/// detects a writer that overwrote the statements; they are then merged again. A foreign write
/// between the last read and the write stays undetected, because neither service has a revision.
/// Writers of Sluice detect it in their own last read and merge again; any other writer has to
/// check for itself.
///
/// # Errors
/// An error of the store, or [`StoreError::NotConverged`].
pub async fn converge<S: PolicyStore>(
    store: &S,
    tag: &str,
    ours: &[Statement],
    attempts: Attempts,
    random: &mut fastrand::Rng,
) -> Result<u32, StoreError> {
    let mut writes = 0;
    let mut pause = attempts.pause;
    let mut text = store.get().await?;
    loop {
        let document = Document::parse(text.as_deref())?;
        if document.has_exactly(tag, ours) {
            return Ok(writes);
        }
        if writes == attempts.writes || Instant::now() >= attempts.until {
            return Err(StoreError::NotConverged(writes));
        }
        // Another active owner changes the document within moments. Then the merge starts over.
        sleep_part_of(attempts.pause / 4, random).await;
        let again = store.get().await?;
        if again != text {
            text = again;
            continue;
        }
        let wanted = document.with_statements_of(tag, ours);
        let written =
            if wanted.is_empty() { store.delete().await } else { store.put(&wanted.to_string()).await };
        writes += 1;
        match written {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        sleep_part_of(pause, random).await;
        pause *= 2;
        text = store.get().await?;
    }
}

/// Sleeps between half and all of `most`, so that writers who started together diverge.
async fn sleep_part_of(most: Duration, random: &mut fastrand::Rng) {
    tokio::time::sleep(most.mul_f64(0.5 + random.f64() / 2.0)).await;
}
