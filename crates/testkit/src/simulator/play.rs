//! From pieces and a fault to a body that goes right or wrong as told.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use super::behaviour::Fault;
use super::ledger::Recording;
use super::{
    Dialect, anthropic_messages, bedrock_converse, gemini_generate, openai_chat, openai_responses,
};

/// The connection is to be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the stand-in resets the connection")
    }
}

impl std::error::Error for Reset {}

impl From<Infallible> for Reset {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a body does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lets time pass.
    Wait(Duration),
    /// Sends bytes.
    Send(Bytes),
    /// Resets the connection.
    Reset,
    /// Sends nothing more, and keeps the connection.
    Stall,
}

/// The steps of a body whose whole content is `pieces`.
#[must_use]
pub fn script(
    dialect: Dialect,
    mut pieces: Vec<Bytes>,
    pace: Duration,
    fault: &Fault,
    is_stream: bool,
) -> Vec<Step> {
    if fault.is_empty {
        return Vec::new();
    }
    let cuts = fault
        .reset_after
        .or(fault.stall_after)
        .or(fault.truncate_after);
    if let (false, Some(_), Some(whole)) = (is_stream, cuts, pieces.first()) {
        // A whole answer breaks off in its middle, wherever a stream would.
        let middle = whole.slice(..whole.len() / 2);
        pieces = vec![middle];
    } else if let Some(after) = cuts {
        pieces.truncate(after);
    }
    if fault.is_malformed {
        break_json(&mut pieces, is_stream);
    }
    if let (true, Some(after)) = (is_stream, fault.error_event_after) {
        pieces.truncate(after);
        pieces.push(match dialect {
            Dialect::OpenAiChat => openai_chat::error_event(),
            Dialect::OpenAiResponses => openai_responses::error_event(),
            Dialect::AnthropicMessages => anthropic_messages::error_event(),
            Dialect::BedrockConverse | Dialect::BedrockInvoke => bedrock_converse::error_event(),
            Dialect::GeminiGenerate | Dialect::VertexGenerate => {
                gemini_generate::error_event(dialect)
            }
        });
    }
    let mut steps = paced(pieces, pace, fault);
    if fault.reset_after.is_some() {
        steps.push(Step::Reset);
    } else if fault.stall_after.is_some() {
        steps.push(Step::Stall);
    }
    steps
}

/// The steps as a body. What it did is recorded; dropping it early is a cancellation.
pub fn body(steps: Vec<Step>, recording: Recording) -> Body {
    if let [Step::Send(whole)] = steps.as_slice() {
        recording.finish();
        return Body::from(whole.clone());
    }
    if steps.is_empty() {
        recording.finish();
        return Body::empty();
    }
    let player = Player {
        steps: steps.into_iter(),
        recording: Some(recording),
    };
    Body::from_stream(stream::unfold(player, async |mut player: Player| {
        let piece = player.next().await?;
        Some((piece, player))
    }))
}

struct Player {
    steps: std::vec::IntoIter<Step>,
    recording: Option<Recording>,
}

impl Player {
    async fn next(&mut self) -> Option<Result<Bytes, Reset>> {
        loop {
            match self.steps.next() {
                Some(Step::Wait(time)) => tokio::time::sleep(time).await,
                Some(Step::Send(bytes)) => {
                    if self.steps.as_slice().is_empty() {
                        self.finish();
                    }
                    return Some(Ok(bytes));
                }
                Some(Step::Reset) => {
                    self.finish();
                    // The pieces before must reach the wire before it breaks.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Some(Err(Reset));
                }
                Some(Step::Stall) => std::future::pending().await,
                None => {
                    self.finish();
                    return None;
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Some(recording) = self.recording.take() {
            recording.finish();
        }
    }
}

fn paced(pieces: Vec<Bytes>, pace: Duration, fault: &Fault) -> Vec<Step> {
    let mut steps = Vec::with_capacity(pieces.len());
    if !fault.body_delay.is_zero() {
        steps.push(Step::Wait(fault.body_delay));
    }
    for (index, piece) in pieces.into_iter().enumerate() {
        if index > 0 && !pace.is_zero() {
            steps.push(Step::Wait(pace));
        }
        match fault.drip {
            Some(drip) => steps.extend(
                (0..piece.len())
                    .flat_map(|at| [Step::Send(piece.slice(at..=at)), Step::Wait(drip)]),
            ),
            None => steps.push(Step::Send(piece)),
        }
    }
    steps
}

/// Breaks the whole answer's JSON, or that of the stream's second event.
fn break_json(pieces: &mut [Bytes], is_stream: bool) {
    let Some(piece) = pieces.get_mut(usize::from(is_stream)) else {
        return;
    };
    let text = String::from_utf8_lossy(piece);
    let broken = match text.find('{') {
        Some(start) => format!("{}\": }}{}", &text[..=start], &text[start + 1..]),
        None => "{\"".to_owned(),
    };
    *piece = Bytes::from(broken);
}
