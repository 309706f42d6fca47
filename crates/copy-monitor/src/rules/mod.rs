//! The rules: from rows and the ledger's state to incidents. Pure: no call, no clock.

pub(crate) mod files;
pub(crate) mod jobs;
pub(crate) mod marks;
pub(crate) mod objects;
