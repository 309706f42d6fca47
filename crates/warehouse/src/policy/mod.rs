//! Policies that several owners share: a namespace's resource policy, a bucket's policy.
//!
//! Neither has a revision to write against. A writer reads, merges its own statements by their ids,
//! writes, and reads again until its statements stay.

mod document;
mod shared;

pub use document::{Document, DocumentError, Statement};
pub use shared::{Attempts, PolicyStore, StoreError, converge};
