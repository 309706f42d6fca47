//! What is wrong with a secret, as data.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum Problem {
    /// The time of its next rotation is over.
    Overdue {
        /// When it was rotated last.
        #[serde(serialize_with = "optional_seconds")]
        last_rotated: Option<SystemTime>,
    },
    /// A version is pending beside the current one: a rotation did not end, and no other one begins.
    Stuck {
        /// The version.
        version: String,
    },
    /// Rotation is off.
    RotationOff {
        /// Whether a tag asks for it; otherwise it was on once.
        wanted_by_tag: bool,
    },
    /// Nobody reads it.
    Unused {
        /// The day on which it was read last.
        #[serde(serialize_with = "optional_seconds")]
        last_accessed: Option<SystemTime>,
    },
    /// A replica has not the primary's value.
    ReplicaOutOfSync {
        /// Where.
        replica_region: String,
        /// `Failed`, or `InProgress` for longer than it should.
        status: String,
        /// Secrets Manager's text.
        message: Option<String>,
    },
    /// It will be deleted.
    ScheduledForDeletion {
        /// When, if that is known.
        #[serde(serialize_with = "optional_seconds")]
        deletion: Option<SystemTime>,
    },
}

impl Problem {
    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Overdue { .. } => "Overdue",
            Self::Stuck { .. } => "Stuck",
            Self::RotationOff { .. } => "RotationOff",
            Self::Unused { .. } => "Unused",
            Self::ReplicaOutOfSync { .. } => "ReplicaOutOfSync",
            Self::ScheduledForDeletion { .. } => "ScheduledForDeletion",
        }
    }
}

/// A finding. It is found by every check as long as it lasts, with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The same problem of the same secret has the same id.
    pub id: String,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
    /// The secret's ARN.
    pub arn: String,
    /// Its name: a value from outside.
    pub name: String,
    /// Its account.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Since when, as far as can be known.
    #[serde(serialize_with = "seconds")]
    pub since: SystemTime,
    /// When it was noticed.
    #[serde(serialize_with = "seconds")]
    pub noticed: SystemTime,
    /// The command that mends it or looks closer, one part an argument. Not a line for a shell.
    pub command: Vec<String>,
}

/// Seconds since 1970.
fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn optional_seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
