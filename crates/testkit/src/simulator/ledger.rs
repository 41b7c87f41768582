//! What the stand-in received: requests, tokens, and how each answer ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::answer::Usage;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is under way.
    Open,
    /// All that was to be sent was sent.
    Finished,
    /// The client went away before that.
    Cancelled,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counts from 0.
    pub number: u64,
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Its headers, keys included.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The model it names.
    pub model: String,
    /// When its body was whole, from the ledger's start.
    pub received_at: Duration,
    /// When its answer ended, from the ledger's start.
    pub ended_at: Option<Duration>,
    /// How its answer ended.
    pub ending: Ending,
    /// The tokens it was told.
    pub usage: Usage,
}

impl Received {
    /// The body as JSON, or null.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Remembers requests. Cheap to clone; clones share what is remembered.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    start: Instant,
    capacity: usize,
    book: Mutex<Book>,
    /// Told at every change, for those who wait.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    next_number: u64,
    finished: u64,
    cancelled: u64,
    connections_opened: u64,
    connections_closed: u64,
    usage: Usage,
    received: VecDeque<Received>,
}

impl Ledger {
    pub(super) fn new(capacity: usize) -> Self {
        let shared = Shared {
            start: Instant::now(),
            capacity,
            book: Mutex::default(),
            changes: watch::channel(0).0,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The remembered requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.book().received.iter().cloned().collect()
    }

    /// How many requests came, remembered or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.book().next_number
    }

    /// The tokens told to clients, added up over requests whose answer began well.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.book().usage
    }

    /// (opened, closed) TCP connections; both 0 in process.
    #[must_use]
    pub fn connections(&self) -> (u64, u64) {
        let book = self.book();
        (book.connections_opened, book.connections_closed)
    }

    /// Forgets everything, totals included.
    pub fn clear(&self) {
        *self.book() = Book::default();
        self.changed();
    }

    /// Waits until `holds` is true of the remembered requests; says whether that came
    /// to be within `limit`.
    pub async fn wait_until(
        &self,
        limit: Duration,
        mut holds: impl FnMut(&[Received]) -> bool,
    ) -> bool {
        let mut changes = self.shared.changes.subscribe();
        let wait = async {
            while !holds(&self.requests()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Totals and requests, as `GET /simulator/ledger` shows them. Keys are left out.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let book = self.book();
        let requests: Vec<Value> = book.received.iter().map(request_as_json).collect();
        json!({
            "count": book.next_number,
            "finished": book.finished,
            "cancelled": book.cancelled,
            "usage": usage_as_json(book.usage),
            "connections": {"opened": book.connections_opened, "closed": book.connections_closed},
            "requests": requests,
        })
    }

    pub(super) fn begin(&self, parts: &Parts, body: &Bytes) -> Recording {
        let mut book = self.book();
        let number = book.next_number;
        book.next_number += 1;
        if self.shared.capacity > 0 {
            if book.received.len() == self.shared.capacity {
                book.received.pop_front();
            }
            book.received.push_back(Received {
                number,
                method: parts.method.to_string(),
                path: parts
                    .uri
                    .path_and_query()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                headers: parts.headers.clone(),
                body: body.clone(),
                model: String::new(),
                received_at: self.shared.start.elapsed(),
                ended_at: None,
                ending: Ending::Open,
                usage: Usage::default(),
            });
        }
        drop(book);
        self.changed();
        Recording {
            ledger: self.clone(),
            number,
            is_finished: false,
        }
    }

    pub(super) fn connection_opened(&self) {
        self.book().connections_opened += 1;
        self.changed();
    }

    pub(super) fn connection_closed(&self) {
        self.book().connections_closed += 1;
        self.changed();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.shared
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Received)) {
        let mut book = self.book();
        let found = book
            .received
            .iter_mut()
            .rev()
            .find(|received| received.number == number);
        if let Some(received) = found {
            change(received);
        }
    }
}

/// A request that is being answered. Dropped before [`Recording::finish`], it counts
/// as cancelled by the client.
pub struct Recording {
    ledger: Ledger,
    number: u64,
    is_finished: bool,
}

impl Recording {
    pub(super) fn model(&self, model: &str) {
        self.ledger.change(self.number, |received| {
            model.clone_into(&mut received.model)
        });
    }

    pub(super) fn usage(&self, usage: Usage) {
        self.ledger.book().usage += usage;
        self.ledger
            .change(self.number, |received| received.usage = usage);
    }

    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let now = self.ledger.shared.start.elapsed();
        let ending = if self.is_finished {
            self.ledger.book().finished += 1;
            Ending::Finished
        } else {
            self.ledger.book().cancelled += 1;
            Ending::Cancelled
        };
        self.ledger.change(self.number, |received| {
            received.ending = ending;
            received.ended_at = Some(now);
        });
        self.ledger.changed();
    }
}

fn request_as_json(received: &Received) -> Value {
    let headers: Map<String, Value> = received
        .headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !matches!(name, "authorization" | "x-api-key" | "x-goog-api-key")
        })
        .map(|(name, value)| {
            (
                name.to_string(),
                json!(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    json!({
        "number": received.number,
        "method": received.method,
        "path": received.path,
        "headers": headers,
        "body": received.json(),
        "model": received.model,
        "received_at_ms": received.received_at.as_secs_f64() * 1000.0,
        "ended_at_ms": received.ended_at.map(|at| at.as_secs_f64() * 1000.0),
        "ending": match received.ending {
            Ending::Open => "open",
            Ending::Finished => "finished",
            Ending::Cancelled => "cancelled",
        },
        "usage": usage_as_json(received.usage),
    })
}

fn usage_as_json(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
    })
}
