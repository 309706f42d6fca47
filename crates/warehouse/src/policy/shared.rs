//! Writing a document that others write too, without a revision to write against.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::document::{Document, DocumentError, Statement};

/// Where a document is kept.
pub trait PolicyStore: Sync {
    /// The document's text, `None` if there is none.
    fn get(&self) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;
    /// Replaces the whole document.
    fn put(&self, text: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Removes the document. That it is gone already is success.
    fn delete(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why a document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else writes at this moment; try again.
    #[error("another writer is changing the policy")]
    Conflict,
    /// What is there is no policy.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] lambda_kit::call::CallError),
    /// Others kept overwriting our statements, or ours never appeared.
    #[error("the policy did not settle in {0} writes: another writer keeps replacing it")]
    Unsettled(u32),
}

impl StoreError {
    /// Whether a write may have reached the document although the change failed.
    pub fn may_have_written(&self) -> bool {
        match self {
            Self::Document(_) => false,
            Self::Call(error) => !error.is_refusal(),
            Self::Conflict | Self::Unsettled(_) => true,
        }
    }
}

/// How patiently a document is settled.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// Writes at most.
    pub writes: u32,
    /// Pause between the two reads before a write and before the read after it; the real pause is between half
    /// and all of it, and doubles with each write.
    pub pause: Duration,
    /// Give up at this time even if writes are left.
    pub until: Instant,
}

impl Attempts {
    /// Eight writes, half a second apart at first.
    pub fn until(until: Instant) -> Self {
        Self { writes: 8, pause: Duration::from_millis(500), until }
    }
}

/// Brings the document to hold exactly `ours` for the owner with this tag, and keeps everything else.
///
/// A write follows two equal reads, so that another owner who is at work is seen; after it the document is read
/// again, so that a writer who overwrote ours is seen and the merge repeated on what they wrote. What cannot be seen
/// is a foreign write between the last read and our write: neither service has a revision. Writers of this kit find that
/// in their own last read and merge again; any other writer has to look for itself.
///
/// Returns the number of writes, 0 if the document was as it should be.
///
/// # Errors
/// The store's, or [`StoreError::Unsettled`].
pub async fn settle<S: PolicyStore>(
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
            return Err(StoreError::Unsettled(writes));
        }
        // Another owner who merges at the same time changes the document within moments. A change starts over.
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

/// Sleeps between half and all of `most`: writers who started together drift apart.
async fn sleep_part_of(most: Duration, random: &mut fastrand::Rng) {
    tokio::time::sleep(most.mul_f64(0.5 + random.f64() / 2.0)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Mutex;

    type Change = Box<dyn Fn(Option<String>) -> Option<String> + Send + Sync>;

    /// A document in memory, with what others do to it after the n-th call.
    #[derive(Default)]
    struct Memory {
        text: Mutex<Option<String>>,
        calls: Mutex<u32>,
        others: Vec<(u32, Change)>,
    }

    impl Memory {
        fn after_call(&self) {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            for (at, change) in &self.others {
                if *at == *calls {
                    let mut text = self.text.lock().unwrap();
                    *text = change(text.take());
                }
            }
        }
    }

    impl PolicyStore for Memory {
        async fn get(&self) -> Result<Option<String>, StoreError> {
            let text = self.text.lock().unwrap().clone();
            self.after_call();
            Ok(text)
        }
        async fn put(&self, text: &str) -> Result<(), StoreError> {
            *self.text.lock().unwrap() = Some(text.to_owned());
            self.after_call();
            Ok(())
        }
        async fn delete(&self) -> Result<(), StoreError> {
            *self.text.lock().unwrap() = None;
            self.after_call();
            Ok(())
        }
    }

    fn statement(sid: &str) -> Statement {
        Statement::new(0, json!({"Sid": sid, "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}))
            .unwrap()
    }

    fn add(sid: &'static str) -> Change {
        Box::new(move |text| {
            let document = Document::parse(text.as_deref()).unwrap();
            Some(document.with_statements_of(sid, &[statement("Foreign")]).to_string())
        })
    }

    async fn settled(store: &Memory, tag: &str, ours: &[Statement]) -> Result<u32, StoreError> {
        let attempts = Attempts::until(Instant::now() + Duration::from_secs(3600));
        settle(store, tag, ours, attempts, &mut fastrand::Rng::with_seed(1)).await
    }

    fn now_in(store: &Memory) -> Document {
        Document::parse(store.text.lock().unwrap().as_deref()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_document_gets_ours_and_a_second_run_writes_nothing() {
        let store = Memory::default();
        assert_eq!(settled(&store, "11111111", &[statement("A")]).await.unwrap(), 1);
        assert_eq!(settled(&store, "11111111", &[statement("A")]).await.unwrap(), 0);
        assert_eq!(settled(&store, "11111111", &[]).await.unwrap(), 1);
        assert_eq!(*store.text.lock().unwrap(), None, "an empty document is removed");
        assert_eq!(settled(&store, "11111111", &[]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_write_between_our_reads_is_kept() {
        let store = Memory { others: vec![(1, add("foreign1"))], ..Memory::default() };
        settled(&store, "11111111", &[statement("A")]).await.unwrap();
        assert!(now_in(&store).has_exactly("foreign1", &[statement("Foreign")]));
        assert!(now_in(&store).has_exactly("11111111", &[statement("A")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_write_that_overwrites_ours_is_merged_again() {
        // The foreign writer read before our write (call 3) and wrote after it.
        let others: Change = Box::new(|_| add("foreign1")(None));
        let store = Memory { others: vec![(3, others)], ..Memory::default() };
        assert_eq!(settled(&store, "11111111", &[statement("A")]).await.unwrap(), 2);
        assert!(now_in(&store).has_exactly("foreign1", &[statement("Foreign")]));
        assert!(now_in(&store).has_exactly("11111111", &[statement("A")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_who_never_stops_is_reported() {
        let forever = (1..200).map(|call| {
            let wipe: Change = Box::new(|_| None);
            (call, wipe)
        });
        let store = Memory { others: forever.collect(), ..Memory::default() };
        let error = settled(&store, "11111111", &[statement("A")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Unsettled(8)), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn many_owners_at_once_all_end_up_in_the_document() {
        for seed in 0..50 {
            let store = Memory::default();
            let tags = ["11111111", "22222222", "33333333", "44444444"];
            let runs = tags.map(|tag| {
                let store = &store;
                async move {
                    let ours = [statement("A")];
                    let attempts = Attempts::until(Instant::now() + Duration::from_secs(3600));
                    let mut random = fastrand::Rng::with_seed(seed ^ u64::from(tag.as_bytes()[0]));
                    settle(store, tag, &ours, attempts, &mut random).await
                }
            });
            let [a, b, c, d] = runs;
            let (a, b, c, d) = tokio::join!(a, b, c, d);
            for result in [a, b, c, d] {
                result.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            for tag in tags {
                assert!(now_in(&store).has_exactly(tag, &[statement("A")]), "seed {seed}, owner {tag}");
            }
        }
    }
}
