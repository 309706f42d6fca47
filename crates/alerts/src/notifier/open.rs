//! The open incidents of a check's scope: what is missing in the next check is resolved.
//!
//! A check finds problems, never their absence. This document holds the identity of each incident that
//! the check found and that is not resolved yet, in a few items of the state table. It is written
//! before an incident is recorded and shortened after its resolution was recorded. A crash in between
//! leaves too much in it, never too little: what is too much is resolved once more by the next check,
//! which changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::incident::{AccountRegion, Incident, IncidentKey, digest};
use crate::kind::Kind;
use crate::moment::Moment;
use crate::store::{ItemKey, MAX_TRANSACTION_BYTES, Put, Store, StoreError, StoredItem, decode};

/// The number of items that hold the document: DynamoDB accepts items of 400 KB. Entries with an ARN
/// have about 180 bytes, so that 30,000 fit.
pub(super) const SHARDS: usize = 16;
/// The time for which the document is kept after its last write.
const MEMORY: Duration = Duration::from_secs(90 * 86_400);
/// The age after which an item is written again although nothing changed.
const REFRESH: Duration = Duration::from_secs(86_400);

/// The identity of an incident that is open in a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenIncident {
    /// The kind.
    pub kind: Kind,
    /// The affected resource.
    pub subject: String,
    /// The value that distinguishes it from others of its kind about the same subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
}

impl OpenIncident {
    pub(super) fn of(incident: &Incident) -> Self {
        Self { kind: incident.kind, subject: incident.subject.clone(), dedup_key: incident.dedup_key.clone() }
    }

    pub(super) fn key(&self, location: &AccountRegion) -> IncidentKey {
        IncidentKey::new(self.kind, location, &self.subject, self.dedup_key.as_deref())
    }
}

/// The state of an open incident: `Some` time since which a check finds it, during its grace period.
pub(super) type Pending = Option<Moment>;

/// Open incidents by identity.
pub(super) type Entries = BTreeMap<OpenIncident, Pending>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Shard {
    /// The time of the last write.
    written: Option<Moment>,
    /// The time of the latest check, in the first shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checked: Option<Moment>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    id: OpenIncident,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Pending,
}

/// The open incidents of one scope.
#[derive(Debug)]
pub(super) struct OpenIncidents {
    partition: String,
    /// The items with the revision at which each was read.
    shards: Vec<(Option<u64>, Shard)>,
}

impl OpenIncidents {
    /// Returns the keys of the document's items.
    pub(super) fn keys(partition: &str) -> Vec<ItemKey> {
        (0..SHARDS).map(|shard| item(partition, shard)).collect()
    }

    /// Decodes the document from the items with [`OpenIncidents::keys`]. An unreadable item is reset.
    pub(super) fn decode(partition: &str, items: &[Option<StoredItem>], now: Moment) -> Self {
        let shard = |(shard, stored): (usize, &Option<StoredItem>)| match stored {
            None => (None, Shard::default()),
            Some(stored) => {
                let body = decode(&item(partition, shard), &stored.body, now).unwrap_or_default();
                (Some(stored.revision), body)
            }
        };
        let shards = items.iter().enumerate().map(shard).collect();
        Self { partition: partition.to_owned(), shards }
    }

    /// Returns all open incidents.
    pub(super) fn entries(&self) -> Entries {
        let entries = self.shards.iter().flat_map(|(_, shard)| &shard.entries);
        entries.map(|entry| (entry.id.clone(), entry.pending)).collect()
    }

    /// Returns the time of the latest check.
    pub(super) fn checked(&self) -> Option<Moment> {
        self.shards.first().and_then(|(_, shard)| shard.checked)
    }

    /// Makes the document consist of these entries, with one write of the items that change.
    pub(super) async fn write<S: Store>(
        &mut self,
        store: &S,
        entries: &Entries,
        now: Moment,
    ) -> Result<(), StoreError> {
        let mut wanted: Vec<Vec<Entry>> = vec![Vec::new(); SHARDS];
        for (id, pending) in entries {
            wanted[shard_of(id)].push(Entry { id: id.clone(), pending: *pending });
        }
        // A check that found nothing needs no trace.
        let checked = (!entries.is_empty()).then(|| self.checked().map_or(now, |before| before.max(now)));
        let (mut puts, mut changed) = (Vec::new(), Vec::new());
        for (number, wanted) in wanted.into_iter().enumerate() {
            let (revision, shard) = &self.shards[number];
            let checked = checked.filter(|_| number == 0).or(shard.checked);
            let stale =
                !wanted.is_empty() && shard.written.is_none_or(|written| written.plus(REFRESH) <= now);
            if shard.entries == wanted && shard.checked == checked && !stale {
                continue;
            }
            let shard = Shard { written: Some(now), checked, entries: wanted };
            puts.push(Put {
                key: item(&self.partition, number),
                expected: *revision,
                // Kinds, strings and numbers only, which serde_json always writes.
                body: serde_json::to_string(&shard).unwrap_or_default(),
                expires: now.plus(MEMORY),
                due: None,
            });
            changed.push((number, shard));
        }
        for puts in chunks_by_size(&puts) {
            store.write(puts, now).await?;
        }
        for (number, shard) in changed {
            let revision = self.shards[number].0.unwrap_or(0) + 1;
            self.shards[number] = (Some(revision), shard);
        }
        Ok(())
    }
}

/// Splits writes into parts that each fit into one transaction.
fn chunks_by_size(puts: &[Put]) -> Vec<&[Put]> {
    let (mut chunks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, put) in puts.iter().enumerate() {
        if at > start && bytes + put.body.len() > MAX_TRANSACTION_BYTES {
            chunks.push(&puts[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += put.body.len();
    }
    if start < puts.len() {
        chunks.push(&puts[start..]);
    }
    chunks
}

fn shard_of(id: &OpenIncident) -> usize {
    let hash = digest(&[id.kind.name(), &id.subject, id.dedup_key.as_deref().unwrap_or_default()]);
    usize::from_str_radix(&hash[..1], 16).unwrap_or(0) % SHARDS
}

fn item(partition: &str, shard: usize) -> ItemKey {
    ItemKey::new(partition, format!("{shard:02}"))
}
