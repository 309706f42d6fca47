//! The incidents that the monitor finds, one function for each, with the alert's whole text.
//!
//! An incident is about one file, about one job, or about the monitor. All files of a job share one
//! rate limit: the first rejected files of ten thousand have an alert each, with line and command,
//! and the rest is one summary. The job itself has its own limit, so that many rejected files never
//! hide that the job is inactive.
//!
//! The dedup key distinguishes incidents of one kind about one subject. Conditions, which every run
//! finds again until they are over, have keys that begin with their name; [`Condition::resolution`]
//! says what ended them.

mod condition;
mod file;
mod job;
mod monitor;
mod subject;

pub(crate) use condition::Condition;
pub(crate) use file::{
    LOADED_MANUALLY, LOADED_UNDER_NEW_NAME, never_loaded, overwritten, rejected, rejected_id, rejected_key,
    unknown,
};
pub(crate) use job::{
    JOB_GONE, auto_off, files_waiting, gone, integration_inactive, integration_missing, location_unknown,
    stale,
};
pub(crate) use monitor::{access_restricted, history_unknown, listing_denied, views_unreadable};

#[cfg(test)]
mod tests;
