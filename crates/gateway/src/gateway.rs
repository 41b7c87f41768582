//! The gateway itself: what every call shares.

use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::clock::{Clock, Entropy};
use domain::price::PriceTable;
use domain::wrong_keys::Throttle;
use providers::chat::usage::Usage;
use providers::target::Target;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::{CircuitBreakers, Circuits, sweep_circuits_until};
use crate::limit::Limits;
use crate::limit::budgets::Spending;
use crate::limit::rates::{self, Rates};
use crate::limit::room::Room;
use crate::meter::{self, UsageSink};
use crate::metrics::Metrics;
use crate::secrets::SecretSource;
use crate::snapshot::Snapshot;
use crate::stream::StreamCommit;
use crate::tokens::Tokens;
use crate::trace::TraceSink;
use crate::upstream::egress::EgressSettings;
use crate::upstream::in_process::InProcessOrigins;
use crate::upstream::resolver::Resolver;
use crate::upstream::{Upstream, UpstreamSetupError};

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of every call.
    pub limits: Limits,
    /// Where calls may go.
    pub egress: EgressSettings,
    /// Whether targets in trouble are skipped.
    pub circuit_breakers: CircuitBreakers,
    /// When streams are released, where a call does not say.
    pub stream_commit: StreamCommit,
}

/// What the gateway needs of the process it runs in.
pub struct Dependencies {
    /// What may be called. Whoever follows the change feed stores new snapshots in it.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Opens credentials.
    pub secrets: Arc<dyn SecretSource>,
    /// Takes the record of every attempt.
    pub usage: Arc<dyn UsageSink>,
    /// Takes the trace of every call, where somebody wants them.
    pub traces: Option<Arc<dyn TraceSink>>,
    /// What tokens cost. Whoever follows the change feed stores new tables in it.
    pub prices: Arc<ArcSwap<PriceTable>>,
    /// What was spent this month. Whoever stores usage keeps it in step with other nodes.
    pub spending: Arc<Spending>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for identifiers and backoff.
    pub entropy: Arc<dyn Entropy>,
    /// Turns host names into addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Origins that answer inside this process instead of over a socket.
    pub in_process: InProcessOrigins,
    /// Where the connections of HTTP/2 upstreams and the pool's sweeper run.
    pub tasks: TaskTracker,
    /// Cancelled when the process is to end: idle upstream connections are closed.
    pub shutdown: CancellationToken,
    /// The metric families, registered already.
    pub metrics: Metrics,
}

/// The data plane of one process. Made once; shared by every call.
pub struct Gateway {
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) secrets: Arc<dyn SecretSource>,
    pub(crate) usage: Arc<dyn UsageSink>,
    pub(crate) traces: Option<Arc<dyn TraceSink>>,
    pub(crate) prices: Arc<ArcSwap<PriceTable>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) stream_commit: StreamCommit,
    pub(crate) body_room: Room,
    pub(crate) answer_room: Room,
    pub(crate) circuits: Arc<Circuits>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) wrong_keys: Throttle,
    pub(crate) spending: Arc<Spending>,
}

impl Gateway {
    /// Puts the gateway together. Must be called inside a Tokio runtime, since the
    /// sweepers of connections, circuits and limits start here.
    ///
    /// # Errors
    /// When the extra root certificates are not certificates.
    pub fn new(
        settings: Settings,
        dependencies: Dependencies,
    ) -> Result<Arc<Self>, UpstreamSetupError> {
        let Settings {
            limits,
            egress,
            circuit_breakers,
            stream_commit,
        } = settings;
        let upstream = Upstream::new(
            &egress,
            dependencies.resolver,
            dependencies.in_process,
            &dependencies.tasks,
            dependencies.shutdown.clone(),
        )?;
        let circuits = Arc::new(Circuits::new(
            circuit_breakers,
            dependencies.metrics.clone(),
        ));
        let sweeping = sweep_circuits_until(Arc::clone(&circuits), dependencies.shutdown.clone());
        dependencies.tasks.spawn(sweeping);
        let rates = Arc::new(Rates::new());
        let sweeping = rates::sweep_until(Arc::clone(&rates), dependencies.shutdown);
        dependencies.tasks.spawn(sweeping);
        Ok(Arc::new(Self {
            snapshot: dependencies.snapshot,
            secrets: dependencies.secrets,
            usage: dependencies.usage,
            traces: dependencies.traces,
            prices: dependencies.prices,
            spending: dependencies.spending,
            clock: dependencies.clock,
            entropy: dependencies.entropy,
            upstream: Arc::new(upstream),
            tokens: Arc::default(),
            metrics: dependencies.metrics,
            body_room: Room::new(limits.request_bodies_bytes),
            answer_room: Room::new(limits.answers_bytes),
            limits,
            stream_commit,
            circuits,
            rates,
            wrong_keys: Throttle::default(),
        }))
    }

    /// Tries targets with the operator's keys again, whatever was known of them: the keys
    /// were read anew, and those that were refused may be others now.
    pub fn operator_keys_changed(&self) {
        self.circuits.forget_operator_keys();
    }

    /// What tokens of a target cost, in micro-dollars; none where the model has no price.
    pub(crate) fn cost(&self, target: &Target, usage: Usage) -> Option<i64> {
        let provider = target.provider.name.as_str();
        let prices = self.prices.load();
        prices.cost(provider, &target.model, None, &meter::tokens(usage))
    }
}
