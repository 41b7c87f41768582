//! Layers that keep what a client sees from lagging behind what it was told.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use gateway::KeyDigest;
use http::Method;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::snapshots::Snapshots;

/// How long an answer to a write waits for the snapshot. A client is not kept longer:
/// the change feed goes on by itself.
const WAIT: Duration = Duration::from_secs(1);

/// How often unknown keys may make this node look into the database.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Control plane: a write that succeeded is in this node's snapshot before its answer
/// goes out, so that the next call can use it.
pub async fn after_writes(
    State(snapshots): State<Arc<Snapshots>>,
    request: Request,
    next: Next,
) -> Response {
    let is_write = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let response = next.run(request).await;
    if is_write && response.status().is_success() {
        snapshots.catch_up(WAIT).await;
    }
    response
}

/// Data plane: a well-formed key that this node does not know may be one that was just
/// made elsewhere (on another node, or at the command line).
#[derive(Clone)]
pub struct UnknownKeys {
    snapshots: Arc<Snapshots>,
    last_look: Arc<Mutex<Option<Instant>>>,
}

impl UnknownKeys {
    /// Looks for unknown keys in the database that `snapshots` follows.
    #[must_use]
    pub fn new(snapshots: Arc<Snapshots>) -> Self {
        Self {
            snapshots,
            last_look: Arc::default(),
        }
    }

    /// A request without a key that could be found needs no look; the gateway says so.
    fn knows(&self, digest: Option<KeyDigest>) -> bool {
        digest.is_none_or(|digest| digest.is_known_to(&self.snapshots.current().load()))
    }

    /// Looks, unless somebody has just looked: guesses of keys must not become load on
    /// the database.
    async fn look(&self) {
        let mut last_look = self.last_look.lock().await;
        if last_look.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.snapshots.catch_up(WAIT).await;
            *last_look = Some(Instant::now());
        }
    }
}

/// The layer for [`UnknownKeys`].
pub async fn before_unknown_keys(
    State(unknown_keys): State<UnknownKeys>,
    mut request: Request,
    next: Next,
) -> Response {
    let digest = KeyDigest::of(request.headers());
    if !unknown_keys.knows(digest) {
        unknown_keys.look().await;
    }
    if let Some(digest) = digest {
        request.extensions_mut().insert(digest);
    }
    next.run(request).await
}
