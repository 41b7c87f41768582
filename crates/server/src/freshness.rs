//! Layers that keep what a client sees from lagging behind what it was told.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use domain::api_key::ApiKeyToken;
use http::{HeaderMap, Method, header};
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

    fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let bearer = bearer
            .and_then(|value| value.split_once(' '))
            .map(|(_, token)| token);
        let own = headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok());
        let Some(Ok(token)) = bearer.or(own).map(|text| ApiKeyToken::parse(text.trim())) else {
            // No key can be found for it; the gateway says so.
            return true;
        };
        let snapshot = self.snapshots.current().load();
        snapshot.caller(&token.digest()).is_some()
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
    request: Request,
    next: Next,
) -> Response {
    if !unknown_keys.knows(request.headers()) {
        unknown_keys.look().await;
    }
    next.run(request).await
}
