//! The rate limiters of one incident while its observations are applied.

use std::collections::{BTreeMap, HashSet};

use super::items::{LIMIT, Versioned};
use crate::incident::{Incident, digest};
use crate::moment::Moment;
use crate::notification::Notification;
use crate::state::{LimitScope, OutboxEntry, Policy, RateLimiter};
use crate::store::ItemKey;

/// The items of an incident's rate limiters, the narrower one first.
pub(super) type LimitItems = [(LimitScope, ItemKey); 2];

/// Returns the items of the rate limiters of an incident.
pub(super) fn limit_items(incident: &Incident) -> LimitItems {
    let (kind, account) = (incident.kind.name(), incident.location.account.as_str());
    let subject = incident.rate_limit_key();
    let hash = digest(&[kind, account, subject]);
    let text: String = subject.chars().take(200).collect();
    [
        (LimitScope::Subject, ItemKey::new(format!("limit|{kind}|{account}|{text}|{hash}"), LIMIT)),
        (LimitScope::Account, ItemKey::new(format!("limit|{kind}|{account}"), LIMIT)),
    ]
}

/// Copies of the rate limiters of one incident.
pub(super) struct Limits(Vec<Limit>);

struct Limit {
    scope: LimitScope,
    item: ItemKey,
    limiter: Versioned<RateLimiter>,
    is_changed: bool,
}

impl Limits {
    /// Copies the rate limiters of these items.
    pub(super) fn of(items: Option<&LimitItems>, loaded: &BTreeMap<ItemKey, Versioned<RateLimiter>>) -> Self {
        let limit = |(scope, item): &(LimitScope, ItemKey)| {
            let limiter = loaded.get(item)?.clone();
            Some(Limit { scope: *scope, item: item.clone(), limiter, is_changed: false })
        };
        Self(items.into_iter().flatten().filter_map(limit).collect())
    }

    /// Returns true if a notification may be published now. Otherwise it is counted for the summary
    /// of the first limit that it exceeds.
    pub(super) fn allow(&mut self, notification: &Notification, now: Moment, policy: &Policy) -> bool {
        self.0.iter_mut().all(|limit| {
            limit.is_changed = true;
            let limiter = &mut limit.limiter.value;
            if let Some(notification) = limiter.summarize_if_due(&limit.item.partition, now, policy) {
                limiter.outbox.push(OutboxEntry { notification, claimed_until: now });
            }
            limiter.allow(notification, limit.scope, now, policy)
        })
    }

    /// Puts the changed copies back, and adds their items to those that must be written.
    pub(super) fn keep(
        self,
        loaded: &mut BTreeMap<ItemKey, Versioned<RateLimiter>>,
        changed: &mut HashSet<ItemKey>,
    ) {
        for limit in self.0.into_iter().filter(|limit| limit.is_changed) {
            changed.insert(limit.item.clone());
            loaded.insert(limit.item, limit.limiter);
        }
    }
}
