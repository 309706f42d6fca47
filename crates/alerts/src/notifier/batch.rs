//! Recording several incidents with one read and one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::items::{Item, LIMIT, Versioned, bytes, event_item, incident_item};
use super::limits::{LimitItems, Limits, limit_items};
use super::{ATTEMPTS, InvocationWindow, Notifier, RecordError, RecordStats, back_off};
use crate::incident::IncidentKey;
use crate::message::Message;
use crate::moment::Moment;
use crate::notification::Notification;
use crate::publish::Publisher;
use crate::state::{IncidentState, LimitScope, Observation, OutboxEntry, RateLimiter};
use crate::store::{ItemKey, MAX_ITEMS, MAX_TRANSACTION_BYTES, Put, Store, StoreError, StoredItem};

/// The largest number of unpublished notifications of one incident. If there are more, publishing
/// fails, and further events stay in their queue.
const MAX_OUTBOX: usize = 6;
/// The largest size of these: DynamoDB accepts items of 400 KB. One notification has at most 75 KB, if
/// all its texts have their largest size and consist of control characters (the fuzz target
/// `alert_message` measures that), and the state itself is as large as one.
const MAX_OUTBOX_BYTES: usize = 300_000;

/// The observations of one incident.
pub(super) struct Group<'a> {
    key: &'a IncidentKey,
    observations: Vec<&'a Observation>,
    /// The positions of the observations in the call of `record`.
    pub(super) indexes: Vec<usize>,
}

impl Group<'_> {
    /// Returns the items of the rate limiters, if an observation names them.
    fn limiters(&self) -> Option<LimitItems> {
        self.observations.iter().find_map(|observation| observation.incident()).map(limit_items)
    }
}

/// Groups observations by incident, in the order in which the incidents first appear. A group fits
/// into one transaction.
pub(super) fn groups(observations: &[Observation]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut open: HashMap<&IncidentKey, usize> = HashMap::new();
    for (index, observation) in observations.iter().enumerate() {
        let key = &observation.key;
        // The incident's state and its rate limiters need an item each.
        let known = open.get(key).filter(|group| groups[**group].indexes.len() < MAX_ITEMS - 3);
        let group = match known {
            Some(group) => *group,
            None => {
                groups.push(Group { key, observations: Vec::new(), indexes: Vec::new() });
                open.insert(key, groups.len() - 1);
                groups.len() - 1
            }
        };
        groups[group].observations.push(observation);
        groups[group].indexes.push(index);
    }
    groups
}

/// Splits groups into batches, each of which fits into one transaction and names an incident once.
pub(super) fn batches<'g, 'a>(groups: &'g [Group<'a>]) -> Vec<&'g [Group<'a>]> {
    let mut batches = Vec::new();
    let (mut start, mut items) = (0, 0);
    let (mut limiters, mut incidents) = (HashSet::new(), HashSet::new());
    for (at, group) in groups.iter().enumerate() {
        // A resolution has the rate limiters of the incident that it resolves, which may be any.
        let own = group.limiters();
        // The first group of a batch that needs a rate limiter counts it.
        let size = |limiters: &HashSet<ItemKey>| {
            let is_new = |(_, item): &&(LimitScope, ItemKey)| !limiters.contains(item);
            let new = own.as_ref().map_or(2, |own| own.iter().filter(is_new).count());
            1 + group.observations.len() + new
        };
        if at > start && (items + size(&limiters) > MAX_ITEMS || incidents.contains(group.key)) {
            batches.push(&groups[start..at]);
            (start, items) = (at, 0);
            limiters.clear();
            incidents.clear();
        }
        items += size(&limiters);
        limiters.extend(own.into_iter().flatten().map(|(_, item)| item));
        incidents.insert(group.key);
    }
    if start < groups.len() {
        batches.push(&groups[start..]);
    }
    batches
}

/// The stored items of a batch.
struct Loaded {
    incidents: Vec<LoadedIncident>,
    limiters: BTreeMap<ItemKey, Versioned<RateLimiter>>,
}

struct LoadedIncident {
    state: Versioned<IncidentState>,
    limiters: Option<LimitItems>,
    /// For each observation, true if it was recorded before.
    duplicate: Vec<bool>,
}

/// The result of one group before it is published.
struct Planned {
    stats: RecordStats,
    /// The notifications that this invocation publishes.
    claimed: Vec<Notification>,
    /// True if another invocation is publishing an observation of this group.
    busy: bool,
}

/// An item with notifications to publish.
struct Sending<T> {
    item: ItemKey,
    state: Versioned<T>,
    notifications: Vec<Notification>,
}

impl<S: Store, P: Publisher> Notifier<S, P> {
    /// Records a batch. The results are in the order of the groups.
    pub(super) async fn batch(
        &self,
        groups: &[Group<'_>],
        window: InvocationWindow,
    ) -> Vec<Result<RecordStats, RecordError>> {
        if groups.len() > 1 {
            match self.attempt(groups, window).await {
                Ok(results) => return results,
                // Another invocation wrote one of the items: each incident gets its own transaction.
                Err(StoreError::Conflict) => {}
                Err(error) => {
                    let error = RecordError::from(error);
                    return groups.iter().map(|_| Err(error.clone())).collect();
                }
            }
        }
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            results.push(self.single(group.key, &group.observations, window).await);
        }
        results
    }

    /// Records the observations of one incident. Without observations it publishes what is due.
    pub(super) async fn single(
        &self,
        key: &IncidentKey,
        observations: &[&Observation],
        window: InvocationWindow,
    ) -> Result<RecordStats, RecordError> {
        let group = Group { key, observations: observations.to_vec(), indexes: Vec::new() };
        let groups = std::slice::from_ref(&group);
        for attempt in 0..ATTEMPTS {
            back_off(key.as_str(), attempt, window).await;
            match self.attempt(groups, window).await {
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
                Ok(mut results) => return results.pop().unwrap_or(Err(RecordError::Contended)),
            }
        }
        Err(RecordError::Contended)
    }

    /// Reads, plans, writes and publishes once.
    async fn attempt(
        &self,
        groups: &[Group<'_>],
        window: InvocationWindow,
    ) -> Result<Vec<Result<RecordStats, RecordError>>, StoreError> {
        let mut loaded = self.load(groups, window.now).await?;
        let (plans, puts) = self.plan(groups, &mut loaded, window);
        let bytes: usize = puts.iter().map(|put| put.body.len()).sum();
        if groups.len() > 1 && bytes > MAX_TRANSACTION_BYTES {
            return Err(StoreError::Conflict);
        }
        if puts.is_empty() {
            loaded.limiters.clear();
        } else {
            self.store.write(&puts, window.now).await?;
        }
        let mut sending = Vec::new();
        let mut results = Vec::with_capacity(groups.len());
        for ((group, incident), plan) in groups.iter().zip(loaded.incidents).zip(plans) {
            let Planned { stats, claimed, busy } = match plan {
                Ok(plan) => plan,
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            if !claimed.is_empty() {
                let mut state = incident.state;
                state.written();
                let item = incident_item(group.key);
                sending.push((results.len(), Sending { item, state, notifications: claimed }));
            }
            results.push(if busy { Err(RecordError::Busy) } else { Ok(stats) });
        }
        let (positions, sending): (Vec<usize>, Vec<_>) = sending.into_iter().unzip();
        for (position, published) in positions.into_iter().zip(self.publish(sending, window).await) {
            match (published, &mut results[position]) {
                (Ok(published), Ok(stats)) => stats.published += published,
                (Err(error), result) => *result = Err(error),
                (Ok(_), Err(_)) => {}
            }
        }
        // A summary belongs to no event, so no event waits for it.
        for (item, limiter) in loaded.limiters {
            if limiter.value.outbox.is_empty() {
                continue;
            }
            match (self.summarize(&item.partition, window).await, results.iter_mut().flatten().next()) {
                (Ok(summary), Some(stats)) => *stats += summary,
                (Ok(_), None) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "summary not published, left to the next sweep");
                }
            }
        }
        Ok(results)
    }

    /// Reads the states of the incidents, their rate limiters, and which events were recorded before.
    async fn load(&self, groups: &[Group<'_>], now: Moment) -> Result<Loaded, StoreError> {
        let mut keys: Vec<ItemKey> = Vec::new();
        for group in groups {
            keys.push(incident_item(group.key));
            keys.extend(group.observations.iter().map(|one| event_item(group.key, &one.event)));
        }
        let limiters = groups.iter().filter_map(Group::limiters).flatten();
        let named: HashSet<ItemKey> = limiters.map(|(_, item)| item).collect();
        keys.extend(named);
        let mut found = self.items(&keys, now).await?;
        let mut incidents = Vec::with_capacity(groups.len());
        for group in groups {
            let item = incident_item(group.key);
            let state: Versioned<IncidentState> =
                Versioned::decode(&item, found.get(&item).and_then(Option::as_ref), now);
            let duplicate = |one: &&Observation| {
                found.get(&event_item(group.key, &one.event)).is_some_and(Option::is_some)
            };
            let duplicate = group.observations.iter().map(duplicate).collect();
            // A resolution does not name the rate limiters of the incident that it ends; the state does.
            let limiters = group.limiters().or_else(|| state.value.incident().map(limit_items));
            incidents.push(LoadedIncident { state, limiters, duplicate });
        }
        let wanted: HashSet<&ItemKey> = incidents
            .iter()
            .filter_map(|incident| incident.limiters.as_ref())
            .flat_map(|limiters| limiters.iter().map(|(_, item)| item))
            .collect();
        let missing: Vec<ItemKey> =
            wanted.iter().filter(|item| !found.contains_key(**item)).map(|item| (*item).clone()).collect();
        if !missing.is_empty() {
            found.extend(self.items(&missing, now).await?);
        }
        let decoded = |item: &ItemKey| Versioned::decode(item, found.get(item).and_then(Option::as_ref), now);
        let limiters = wanted.into_iter().map(|item| (item.clone(), decoded(item))).collect();
        Ok(Loaded { incidents, limiters })
    }

    async fn items(
        &self,
        keys: &[ItemKey],
        now: Moment,
    ) -> Result<HashMap<ItemKey, Option<StoredItem>>, StoreError> {
        let found = self.store.read(keys, now).await?;
        Ok(keys.iter().cloned().zip(found).collect())
    }

    /// Applies the observations. Returns the result of each group, and what is to be written.
    fn plan(
        &self,
        groups: &[Group<'_>],
        loaded: &mut Loaded,
        window: InvocationWindow,
    ) -> (Vec<Result<Planned, RecordError>>, Vec<Put>) {
        let (mut plans, mut puts) = (Vec::with_capacity(groups.len()), Vec::new());
        let mut used: HashSet<ItemKey> = HashSet::new();
        for (group, incident) in groups.iter().zip(&mut loaded.incidents) {
            let mut limits = Limits::of(incident.limiters.as_ref(), &loaded.limiters);
            let (plan, own) = self.plan_one(group, incident, &mut limits, window);
            // What is not written did not happen.
            if plan.is_ok() {
                limits.keep(&mut loaded.limiters, &mut used);
            }
            puts.extend(own);
            plans.push(plan);
        }
        let limiters = loaded.limiters.iter().filter(|(item, _)| used.contains(*item));
        puts.extend(limiters.map(|(item, limiter)| limiter.put(item, window.now, &self.policy)));
        (plans, puts)
    }

    /// Applies the observations of one incident. Returns its result, and what is to be written.
    fn plan_one(
        &self,
        group: &Group<'_>,
        incident: &mut LoadedIncident,
        limits: &mut Limits,
        window: InvocationWindow,
    ) -> (Result<Planned, RecordError>, Vec<Put>) {
        let InvocationWindow { now, deadline } = window;
        let (mut claimed, busy) = incident.state.claim(now, deadline);
        let state = &mut incident.state.value;
        let (mut puts, mut stats) = (Vec::new(), RecordStats::default());
        let mut notifications = Vec::new();
        let mut seen = HashSet::new();
        for (observation, duplicate) in group.observations.iter().zip(&incident.duplicate) {
            if *duplicate || !seen.insert(&observation.event) {
                stats.duplicates += 1;
                continue;
            }
            notifications.extend(state.apply(observation, now, &self.policy));
            puts.push(Put {
                key: event_item(group.key, &observation.event),
                expected: None,
                body: observation.raw.clone().unwrap_or_default(),
                expires: now.plus(observation.memory),
                due: None,
            });
        }
        let is_new = !puts.is_empty();
        // While publishing fails, the outbox has enough to publish already.
        if state.outbox.len() < MAX_OUTBOX && bytes(&state.outbox) < MAX_OUTBOX_BYTES / 2 {
            notifications.extend(state.repeat_if_due(group.key, now, &self.policy));
        }
        let notified = !notifications.is_empty();
        for notification in notifications {
            if limits.allow(&notification, now, &self.policy) {
                claimed.push(notification.clone());
                state.outbox.push(OutboxEntry { notification, claimed_until: deadline });
            } else {
                stats.suppressed += 1;
            }
        }
        if is_new && (state.outbox.len() > MAX_OUTBOX || bytes(&state.outbox) > MAX_OUTBOX_BYTES) {
            return (Err(RecordError::OutboxFull), Vec::new());
        }
        if is_new || notified || !claimed.is_empty() {
            puts.push(incident.state.put(&incident_item(group.key), now, &self.policy));
        }
        // An event that was recorded before may have led to what another invocation publishes.
        let busy = busy && stats.duplicates > 0;
        (Ok(Planned { stats, claimed, busy }), puts)
    }

    /// Publishes the summary of a rate limiter, if it is due.
    pub(super) async fn summarize(
        &self,
        partition: &str,
        window: InvocationWindow,
    ) -> Result<RecordStats, RecordError> {
        let item = ItemKey::new(partition, LIMIT);
        for attempt in 0..ATTEMPTS {
            back_off(partition, attempt, window).await;
            let mut state: Versioned<RateLimiter> = self.read_again(&item, window.now).await?;
            let (mut notifications, busy) = state.claim(window.now, window.deadline);
            let due = state.value.summarize_if_due(partition, window.now, &self.policy);
            if let Some(notification) = due {
                notifications.push(notification.clone());
                let claimed_until = window.deadline;
                state.value.outbox.push(OutboxEntry { notification, claimed_until });
            }
            if notifications.is_empty() {
                return if busy { Err(RecordError::Busy) } else { Ok(RecordStats::default()) };
            }
            match self.store.write(&[state.put(&item, window.now, &self.policy)], window.now).await {
                Err(StoreError::Conflict) => continue,
                other => other?,
            }
            state.written();
            let sending = vec![Sending { item, state, notifications }];
            let published = self.publish(sending, window).await.pop().unwrap_or(Ok(0))?;
            return Ok(RecordStats { published, ..RecordStats::default() });
        }
        Err(RecordError::Contended)
    }

    /// Publishes notifications and removes them from their outboxes, one incident after the other: a
    /// crash repeats the notifications of at most one incident. Notifications that could not be
    /// published stay in the outbox for the next invocation.
    async fn publish<T: Item>(
        &self,
        sending: Vec<Sending<T>>,
        window: InvocationWindow,
    ) -> Vec<Result<u32, RecordError>> {
        let mut results = Vec::with_capacity(sending.len());
        for sending in sending {
            let (mut sent, result) = self.send(sending).await;
            sent.release(window.now);
            let removed = self.remove(sent, window).await;
            // The reason why a notification was not published is the more important one.
            results.push(result.and_then(|published| removed.map(|()| published)));
        }
        results
    }

    async fn send<T: Item>(&self, sending: Sending<T>) -> (Sent<T>, Result<u32, RecordError>) {
        let Sending { item, state, notifications } = sending;
        let (mut published, mut failure) = (HashSet::new(), None);
        let mut tried = HashSet::with_capacity(notifications.len());
        for notification in notifications {
            tried.insert(notification.id.clone());
            if let Err(error) = self.publisher.publish(&Message::of(&notification)).await {
                failure.get_or_insert(RecordError::Publish(Arc::new(error)));
                continue;
            }
            let (id, status) = (&notification.id, notification.status.name());
            let kind = notification.incident.kind.name();
            tracing::info!(id, status, kind, count = notification.count, "alert published");
            published.insert(notification.id);
        }
        let count = u32::try_from(published.len()).unwrap_or(u32::MAX);
        (Sent { item, state, published, tried }, failure.map_or(Ok(count), Err))
    }

    /// Removes published notifications from an outbox, against other writers.
    async fn remove<T: Item>(&self, mut sent: Sent<T>, window: InvocationWindow) -> Result<(), RecordError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                back_off(&sent.item.partition, attempt, window).await;
                sent.state = self.read_again(&sent.item, window.now).await?;
                sent.release(window.now);
            }
            let put = sent.state.put(&sent.item, window.now, &self.policy);
            match self.store.write(&[put], window.now).await {
                Err(StoreError::Conflict) => {}
                other => return Ok(other?),
            }
        }
        Err(RecordError::Contended)
    }

    async fn read_again<T: Item>(&self, item: &ItemKey, now: Moment) -> Result<Versioned<T>, RecordError> {
        let found = self.store.read(std::slice::from_ref(item), now).await?.pop().flatten();
        Ok(Versioned::decode(item, found.as_ref(), now))
    }
}

/// An item whose notifications were sent, or not.
struct Sent<T> {
    item: ItemKey,
    state: Versioned<T>,
    published: HashSet<String>,
    tried: HashSet<String>,
}

impl<T: Item> Sent<T> {
    /// Removes what was published, and gives up the claim on the rest.
    fn release(&mut self, now: Moment) {
        let (published, tried) = (&self.published, &self.tried);
        let outbox = self.state.value.outbox();
        outbox.retain(|entry| !published.contains(&entry.notification.id));
        for entry in outbox.iter_mut().filter(|entry| tried.contains(&entry.notification.id)) {
            entry.claimed_until = now;
        }
    }
}
