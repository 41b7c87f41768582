//! The circuits of one process: only those of targets in trouble, and not too many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrganizationId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::circuit::{Circuit, Phase, Reason, Refusal, Ticket, Verdict};
use super::{CircuitKey, Tickets, Verdicts};
use crate::metrics::Metrics;
use crate::snapshot::Entry;
use crate::upstream::Partition;

/// Organisations are spread over so many locks.
const SHARDS: usize = 64;
/// Origins and credentials remembered for one organisation at most. It can make as many
/// configurations as it likes; those beyond are called as if nothing were known of them.
const GROUPS_PER_ORGANIZATION: usize = 256;
/// For all organisations of one shard together.
const GROUPS_PER_SHARD: usize = 1024;
/// Models remembered below one origin and credential.
const MODELS_PER_GROUP: usize = 64;
/// What nobody has called for so long is forgotten, open or not.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Whether targets in trouble are skipped (`limits.circuit_breakers`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CircuitBreakers {
    /// They are.
    #[default]
    On,
    /// Every call tries every target.
    Off,
}

/// All circuits.
pub(crate) struct Circuits {
    watch: CircuitBreakers,
    shards: Vec<Shard>,
    metrics: Metrics,
}

#[derive(Default)]
struct Shard {
    /// As many as `groups` has, to be read without its lock.
    count: AtomicUsize,
    groups: Mutex<HashMap<CircuitKey, Group>>,
}

/// What is known of one origin and credential.
struct Group {
    provider: &'static str,
    credential: Circuit,
    models: Vec<(String, Circuit)>,
    touched: Instant,
}

/// What a change is told with.
struct Place<'a> {
    key: &'a CircuitKey,
    provider: &'static str,
    model: Option<&'a str>,
}

impl Circuits {
    pub(crate) fn new(watch: CircuitBreakers, metrics: Metrics) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS);
        Self {
            watch,
            shards: shards.collect(),
            metrics,
        }
    }

    /// Lets an attempt through, or says why not.
    pub(super) fn admit(
        &self,
        key: &CircuitKey,
        entry: &Entry,
        now: Instant,
    ) -> Result<Tickets, Refusal> {
        let shard = self.shard(key.organization_id);
        if shard.is_empty() {
            return Ok(Tickets::default());
        }
        let mut groups = shard.lock();
        let Some(group) = groups.get_mut(key) else {
            return Ok(Tickets::default());
        };
        group.touched = now;
        let place = Place::of(key, group.provider, None);
        let model_name = model_of(entry);
        let mut model = group.models.iter_mut().find(|(name, _)| name == model_name);
        // The model first and without a probe's place taken: what it refuses must not
        // leave the credential waiting for a probe that never goes.
        if let Some((_, circuit)) = &model
            && let Some(refusal) = circuit.clone().admit(now).err()
        {
            return self.refuse(group.provider, refusal);
        }
        let credential = self.watched(&place, &mut group.credential, |it| it.admit(now));
        let credential = match credential {
            Ok(ticket) => ticket,
            Err(refusal) => return self.refuse(group.provider, refusal),
        };
        let model = match &mut model {
            None => Ok(Ticket::default()),
            Some((_, circuit)) => {
                let place = Place::of(key, group.provider, Some(model_name));
                self.watched(&place, circuit, |it| it.admit(now))
            }
        };
        model.map(|model| Tickets { credential, model })
    }

    fn refuse(&self, provider: &'static str, refusal: Refusal) -> Result<Tickets, Refusal> {
        self.metrics.circuit_skips(provider, refusal.reason);
        Err(refusal)
    }

    /// Takes the outcome of an attempt that was let through.
    pub(super) fn record(
        &self,
        key: &CircuitKey,
        entry: &Entry,
        tickets: Tickets,
        verdicts: Verdicts,
        now: Instant,
    ) {
        let is_worth_a_group = self.watch == CircuitBreakers::On
            && (is_news(verdicts.credential) || is_news(verdicts.model));
        let shard = self.shard(key.organization_id);
        if shard.is_empty() && !is_worth_a_group {
            return;
        }
        let mut groups = shard.lock();
        if !groups.contains_key(key) {
            if !is_worth_a_group || !has_room(&groups, key.organization_id) {
                return;
            }
            groups.insert(key.clone(), Group::new(provider_of(entry), now));
            shard.count.store(groups.len(), Ordering::Relaxed);
        }
        let Some(group) = groups.get_mut(key) else {
            return;
        };
        group.touched = now;
        let place = Place::of(key, group.provider, None);
        self.watched(&place, &mut group.credential, |circuit| {
            circuit.record(tickets.credential, verdicts.credential, now);
        });
        let model_name = model_of(entry);
        let place = Place::of(key, group.provider, Some(model_name));
        if let Some(circuit) = group.model(model_name, is_news(verdicts.model)) {
            self.watched(&place, circuit, |circuit| {
                circuit.record(tickets.model, verdicts.model, now);
            });
        }
    }

    /// A call outside of any plan has shown that the target works.
    pub(crate) fn works(&self, key: &CircuitKey, entry: &Entry) {
        let shard = self.shard(key.organization_id);
        let mut groups = shard.lock();
        let Some(group) = groups.get_mut(key) else {
            return;
        };
        let place = Place::of(key, group.provider, None);
        self.watched(&place, &mut group.credential, Circuit::close);
        let model_name = model_of(entry);
        let place = Place::of(key, group.provider, Some(model_name));
        if let Some(circuit) = group.model(model_name, false) {
            self.watched(&place, circuit, Circuit::close);
        }
    }

    /// Forgets what it knows of the operator's keys, which may be others now.
    pub(crate) fn forget_operator_keys(&self) {
        self.keep(|key, _| {
            let partition = &key.pool_key.partition;
            !matches!(
                partition,
                Partition::Platform(_) | Partition::SystemDefault(_)
            )
        });
    }

    /// Forgets what nobody has asked about for long.
    fn sweep(&self, now: Instant) {
        self.keep(|_, group| now.duration_since(group.touched) < FORGOTTEN_AFTER);
    }

    fn keep(&self, is_kept: impl Fn(&CircuitKey, &Group) -> bool) {
        for shard in &self.shards {
            if shard.is_empty() {
                continue;
            }
            let mut groups = shard.lock();
            groups.retain(|key, group| {
                let is_kept = is_kept(key, group);
                if !is_kept {
                    self.forget(group);
                }
                is_kept
            });
            shard.count.store(groups.len(), Ordering::Relaxed);
        }
    }

    fn forget(&self, group: &Group) {
        let models = group.models.iter().map(|(_, circuit)| circuit);
        for circuit in models.chain([&group.credential]) {
            let before = circuit.phase();
            self.metrics
                .circuit_changes(group.provider, before, Phase::Closed);
        }
    }

    /// Lets `change` at a circuit and tells what came of it.
    fn watched<T>(
        &self,
        place: &Place<'_>,
        circuit: &mut Circuit,
        change: impl FnOnce(&mut Circuit) -> T,
    ) -> T {
        let before = circuit.phase();
        let outcome = change(circuit);
        let after = circuit.phase();
        if before != after {
            self.metrics.circuit_changes(place.provider, before, after);
            place.log(before, after);
        }
        outcome
    }

    fn shard(&self, organization_id: OrganizationId) -> &Shard {
        // The last bits of these ids are random.
        let number = organization_id.0.as_u128() % SHARDS as u128;
        &self.shards[usize::try_from(number).unwrap_or_default()]
    }
}

impl Shard {
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CircuitKey, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn new(provider: &'static str, now: Instant) -> Self {
        Self {
            provider,
            credential: Circuit::default(),
            models: Vec::new(),
            touched: now,
        }
    }

    /// The circuit of a model; a new one where `is_news` gives it something to remember
    /// and there is room.
    fn model(&mut self, name: &str, is_news: bool) -> Option<&mut Circuit> {
        let known = self.models.iter().position(|(known, _)| known == name);
        if known.is_none() && is_news {
            if self.models.len() >= MODELS_PER_GROUP {
                self.models.retain(|(_, circuit)| !circuit.is_fresh());
            }
            if self.models.len() < MODELS_PER_GROUP {
                self.models.push((name.to_owned(), Circuit::default()));
            }
        }
        let position = known.or_else(|| self.models.iter().position(|(known, _)| known == name))?;
        self.models.get_mut(position).map(|(_, circuit)| circuit)
    }
}

impl<'a> Place<'a> {
    const fn of(key: &'a CircuitKey, provider: &'static str, model: Option<&'a str>) -> Self {
        Self {
            key,
            provider,
            model,
        }
    }

    /// Says in the log what operators want to know. That a provider asked us to wait is
    /// no news.
    fn log(&self, before: Phase, after: Phase) {
        match (before, after) {
            (_, Phase::Open(Reason::RateLimited)) | (Phase::Open(Reason::RateLimited), _) => {}
            (Phase::Closed, Phase::Open(reason)) => tracing::warn!(
                circuit.reason = reason.as_str(),
                error.kind = reason.kind().as_str(),
                organization.id = %self.key.organization_id,
                gen_ai.provider.name = self.provider,
                gen_ai.request.model = self.model,
                server.origin = self.key.pool_key.origin.as_str(),
                "circuit opened: the target is skipped for a while"
            ),
            (Phase::Open(_) | Phase::Probing(_), Phase::Closed) => tracing::info!(
                organization.id = %self.key.organization_id,
                gen_ai.provider.name = self.provider,
                gen_ai.request.model = self.model,
                server.origin = self.key.pool_key.origin.as_str(),
                "circuit closed: the target works again"
            ),
            _ => {}
        }
    }
}

/// Whether there is something to remember of a target of which nothing is known yet.
const fn is_news(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Failed(_) | Verdict::Refused | Verdict::RateLimited(_)
    )
}

fn has_room(groups: &HashMap<CircuitKey, Group>, organization_id: OrganizationId) -> bool {
    let own = |key: &&CircuitKey| key.organization_id == organization_id;
    groups.len() < GROUPS_PER_SHARD && groups.keys().filter(own).count() < GROUPS_PER_ORGANIZATION
}

fn model_of(entry: &Entry) -> &str {
    entry.route().map_or("", |route| &route.target.model)
}

fn provider_of(entry: &Entry) -> &'static str {
    let route = entry.route();
    route.map_or("", |route| route.target.provider.name.as_str())
}

/// Forgets idle circuits now and then.
pub(crate) async fn sweep_until(circuits: Arc<Circuits>, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => circuits.sweep(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{Alias, ModelConfigurationId};
    use domain::model_configuration::{ModelConfiguration, ModelSettings};
    use prometheus_client::registry::Registry;
    use uuid::Uuid;

    use super::*;
    use crate::upstream::PoolKey;

    const REFUSED: Verdicts = Verdicts {
        credential: Verdict::Refused,
        model: Verdict::Unclear,
    };

    fn circuits() -> Circuits {
        let metrics = Metrics::register(&mut Registry::default());
        Circuits::new(CircuitBreakers::On, metrics)
    }

    fn entry(model: &str) -> Entry {
        let settings = ModelSettings {
            name: "a".to_owned(),
            description: None,
            provider: "openai".to_owned(),
            model: model.to_owned(),
            temperature: None,
            max_tokens: None,
            timeout_seconds: None,
            max_retries: None,
            additional_params: None,
            agent_harness_version_string: None,
            is_computer_use_model: false,
            is_archived: false,
        };
        let configuration = ModelConfiguration {
            id: ModelConfigurationId(Uuid::nil()),
            organization_id: None,
            revision: 1,
            settings,
            api_key_alias: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        };
        Entry::new(
            &configuration,
            &crate::snapshot::PlatformKeys::default(),
            &crate::snapshot::Slots::default(),
        )
    }

    /// Another secret for each number.
    fn key(organization: u128, number: u128) -> CircuitKey {
        let origin = entry("m").route().unwrap().target.origin.clone();
        let alias = Alias::from_random(number.to_be_bytes());
        CircuitKey {
            organization_id: OrganizationId(Uuid::from_u128(organization)),
            pool_key: Arc::new(PoolKey {
                origin,
                partition: Partition::Secret(alias),
            }),
        }
    }

    fn remembered(circuits: &Circuits) -> usize {
        let shards = circuits.shards.iter();
        shards.map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn memory_is_bounded_for_one_organization_and_for_all() {
        let (circuits, entry, now) = (circuits(), entry("m"), Instant::now());
        for number in 0..2 * GROUPS_PER_ORGANIZATION as u128 {
            let (key, tickets) = (key(1, number), Tickets::default());
            circuits.record(&key, &entry, tickets, REFUSED, now);
        }
        assert_eq!(remembered(&circuits), GROUPS_PER_ORGANIZATION);
        // Another one has room of its own.
        let (other, tickets) = (key(1 + SHARDS as u128, 0), Tickets::default());
        circuits.record(&other, &entry, tickets, REFUSED, now);
        assert!(circuits.admit(&other, &entry, now).is_err());
        for organization in 0..8 {
            for number in 0..GROUPS_PER_ORGANIZATION as u128 {
                let key = key(organization * SHARDS as u128, number);
                circuits.record(&key, &entry, tickets, REFUSED, now);
            }
        }
        let shard = circuits.shard(OrganizationId(Uuid::nil()));
        assert_eq!(shard.lock().len(), GROUPS_PER_SHARD);
    }

    #[test]
    fn models_below_one_credential_are_bounded_and_apart() {
        let (circuits, now, key) = (circuits(), Instant::now(), key(1, 1));
        let verdicts = Verdicts {
            credential: Verdict::Alive,
            model: Verdict::RateLimited(Duration::from_secs(60)),
        };
        for number in 0..2 * MODELS_PER_GROUP {
            let entry = entry(&format!("m{number}"));
            circuits.record(&key, &entry, Tickets::default(), verdicts, now);
        }
        let shard = circuits.shard(key.organization_id);
        assert_eq!(shard.lock()[&key].models.len(), MODELS_PER_GROUP);
        assert!(circuits.admit(&key, &entry("m0"), now).is_err());
        assert!(circuits.admit(&key, &entry("another"), now).is_ok());
    }

    #[test]
    fn what_is_idle_is_forgotten() {
        let (circuits, entry, now) = (circuits(), entry("m"), Instant::now());
        for number in 0..3 {
            circuits.record(&key(1, number), &entry, Tickets::default(), REFUSED, now);
        }
        let later = now + FORGOTTEN_AFTER / 2;
        assert!(circuits.admit(&key(1, 0), &entry, later).is_ok(), "a probe");
        circuits.sweep(now + FORGOTTEN_AFTER);
        assert_eq!(remembered(&circuits), 1);
        circuits.sweep(later + FORGOTTEN_AFTER);
        assert_eq!(remembered(&circuits), 0);
        assert!(circuits.shards.iter().all(Shard::is_empty));
    }

    #[test]
    fn nothing_is_remembered_of_what_goes_well_or_is_not_watched() {
        let (circuits, entry, now) = (circuits(), entry("m"), Instant::now());
        for verdicts in [Verdicts::ALIVE, Verdicts::CANCELLED] {
            circuits.record(&key(1, 1), &entry, Tickets::default(), verdicts, now);
        }
        assert_eq!(remembered(&circuits), 0);
        let metrics = Metrics::register(&mut Registry::default());
        let off = Circuits::new(CircuitBreakers::Off, metrics);
        off.record(&key(1, 1), &entry, Tickets::default(), REFUSED, now);
        assert_eq!(remembered(&off), 0);
    }
}
