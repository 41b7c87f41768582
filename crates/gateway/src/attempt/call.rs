//! One client's request, in whichever form a target needs it.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue};
use providers::chat::WireFormat;
use providers::chat::call::ChatCall;
use providers::error::InvalidCall;
use providers::pass_through::Envelope;
use providers::protocol::parse;

use crate::error::CallError;
use crate::gateway::Gateway;
use crate::limit::room::{Room, Taken, tree_bytes};
use crate::stream::StreamCommit;

/// A request: its scanned body, and the canonical call once somebody needs it.
pub(crate) struct Call {
    pub(crate) dialect: WireFormat,
    pub(crate) wants_stream: bool,
    /// When the stream is released.
    pub(crate) stream_commit: StreamCommit,
    /// The client's `anthropic-beta`.
    pub(crate) anthropic_beta: Option<HeaderValue>,
    envelope: Option<Envelope>,
    canonical: OnceLock<Result<ChatCall, InvalidCall>>,
    /// Where the canonical call takes its room; none for a call of our own.
    room: Option<Room>,
    taken: OnceLock<Taken>,
}

impl Call {
    /// A client's call, whose stream is released when the gateway's settings say, where
    /// its headers say nothing else.
    ///
    /// # Errors
    /// When a header says what does not exist.
    pub(crate) fn new(
        envelope: Envelope,
        headers: &HeaderMap,
        gateway: &Gateway,
    ) -> Result<Self, CallError> {
        Ok(Self {
            stream_commit: StreamCommit::asked(headers, gateway.stream_commit)?,
            dialect: envelope.dialect(),
            wants_stream: envelope.stream(),
            anthropic_beta: headers.get("anthropic-beta").cloned(),
            envelope: Some(envelope),
            canonical: OnceLock::new(),
            room: Some(gateway.body_room.clone()),
            taken: OnceLock::new(),
        })
    }

    /// A client's call of which only the body matters.
    #[cfg(test)]
    pub(crate) fn of_body(envelope: Envelope) -> Self {
        Self {
            dialect: envelope.dialect(),
            wants_stream: envelope.stream(),
            stream_commit: StreamCommit::FirstByte,
            anthropic_beta: None,
            envelope: Some(envelope),
            canonical: OnceLock::new(),
            room: None,
            taken: OnceLock::new(),
        }
    }

    /// A call of our own.
    pub(crate) fn canonical_only(call: ChatCall) -> Self {
        Self {
            dialect: call.dialect,
            wants_stream: call.stream,
            stream_commit: StreamCommit::FirstByte,
            anthropic_beta: None,
            envelope: None,
            canonical: OnceLock::from(Ok(call)),
            room: None,
            taken: OnceLock::new(),
        }
    }

    /// The body as the client sent it; none for a call of our own.
    pub(crate) const fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// The canonical call. A pass-through never asks for it; a fallback across
    /// formats parses the body once.
    ///
    /// # Errors
    /// When the body is no call of the dialect, or there is no room for what it becomes.
    pub(crate) fn canonical(&self) -> Result<&ChatCall, CallError> {
        self.take_room()?;
        let body = self.envelope.as_ref().map(Envelope::body);
        self.canonical
            .get_or_init(|| parse(self.dialect, body.map_or(&[], |body| body)))
            .as_ref()
            .map_err(|error| CallError::invalid(error.clone()))
    }

    /// A parsed body takes many times the memory of its text, until the call ends.
    fn take_room(&self) -> Result<(), CallError> {
        let (Some(room), Some(envelope)) = (&self.room, &self.envelope) else {
            return Ok(());
        };
        if self.taken.get().is_some() {
            return Ok(());
        }
        let mut taken = Taken::default();
        if !room.extend(&mut taken, tree_bytes(envelope.values())) {
            return Err(CallError::no_room_for_body());
        }
        // Where two asked at once, one of them gives its room back.
        let _ = self.taken.set(taken);
        Ok(())
    }

    /// What the client asked for by `model`.
    pub(crate) fn asked_for(&self) -> &str {
        let envelope = self.envelope.as_ref();
        envelope
            .and_then(|envelope| {
                let first = envelope.models().and_then(<[String]>::first);
                envelope.model().or(first.map(String::as_str))
            })
            .unwrap_or_default()
    }
}
