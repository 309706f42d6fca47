//! Convergence of a policy that several owners write, against a store in memory.

// clippy.toml exempts `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use warehouse::policy::{Attempts, Document, PolicyStore, Statement, StoreError, converge};

type Change = Box<dyn Fn(Option<String>) -> Option<String> + Send + Sync>;

/// A document in memory, and changes of other writers after the n-th call.
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

async fn converged(store: &Memory, tag: &str, ours: &[Statement]) -> Result<u32, StoreError> {
    let attempts = Attempts::until(Instant::now() + Duration::from_secs(3600));
    converge(store, tag, ours, attempts, &mut fastrand::Rng::with_seed(1)).await
}

fn now_in(store: &Memory) -> Document {
    Document::parse(store.text.lock().unwrap().as_deref()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn second_run_writes_nothing() {
    let store = Memory::default();
    assert_eq!(converged(&store, "11111111", &[statement("A")]).await.unwrap(), 1);
    assert_eq!(converged(&store, "11111111", &[statement("A")]).await.unwrap(), 0);
    assert_eq!(converged(&store, "11111111", &[]).await.unwrap(), 1);
    assert_eq!(*store.text.lock().unwrap(), None, "an empty document is deleted");
    assert_eq!(converged(&store, "11111111", &[]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn foreign_write_between_the_reads_is_kept() {
    let store = Memory { others: vec![(1, add("foreign1"))], ..Memory::default() };
    converged(&store, "11111111", &[statement("A")]).await.unwrap();
    assert!(now_in(&store).has_exactly("foreign1", &[statement("Foreign")]));
    assert!(now_in(&store).has_exactly("11111111", &[statement("A")]));
}

#[tokio::test(start_paused = true)]
async fn statements_are_merged_again_after_a_foreign_overwrite() {
    // The foreign writer read before our write (call 3) and wrote after it.
    let others: Change = Box::new(|_| add("foreign1")(None));
    let store = Memory { others: vec![(3, others)], ..Memory::default() };
    assert_eq!(converged(&store, "11111111", &[statement("A")]).await.unwrap(), 2);
    assert!(now_in(&store).has_exactly("foreign1", &[statement("Foreign")]));
    assert!(now_in(&store).has_exactly("11111111", &[statement("A")]));
}

#[tokio::test(start_paused = true)]
async fn writer_that_never_stops_is_an_error() {
    let forever = (1..200).map(|call| {
        let wipe: Change = Box::new(|_| None);
        (call, wipe)
    });
    let store = Memory { others: forever.collect(), ..Memory::default() };
    let error = converged(&store, "11111111", &[statement("A")]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotConverged(8)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn concurrent_owners_all_end_up_in_the_document() {
    for seed in 0..50 {
        let store = Memory::default();
        let tags = ["11111111", "22222222", "33333333", "44444444"];
        let runs = tags.map(|tag| {
            let store = &store;
            async move {
                let ours = [statement("A")];
                let attempts = Attempts::until(Instant::now() + Duration::from_secs(3600));
                let mut random = fastrand::Rng::with_seed(seed ^ u64::from(tag.as_bytes()[0]));
                converge(store, tag, &ours, attempts, &mut random).await
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
