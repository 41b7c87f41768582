//! Watched streams: whatever is cut where, the client sees the same and so do we.

use bytes::Bytes;
use proptest::prelude::*;
use providers::catalog::Protocol;
use providers::chat::WireFormat;
use providers::chat::event::ChatEvent;
use providers::chat::usage::Usage;
use providers::error::ErrorKind;
use providers::pass_through::{Envelope, Observation, StreamObserver, usage};
use providers::protocol::Decoder;
use providers::target::Target;

use crate::vectors::record::Record;
use crate::vectors::responses::stream_text;

const OPENAI_EVENTS: &[&str] = &[
    ": keep alive\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9 é\"}}],\"usage\":null}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    "data: {\"object\":\"unknown\"}\n\n",
    OPENAI_USAGE,
];

const OPENAI_USAGE: &str =
    "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

const ANTHROPIC_EVENTS: &[&str] = &[
    "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_start\ndata: {\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"é\"}}\n\n",
    "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: novelty\ndata: [1]\n\n",
];

struct Seen {
    forwarded: Vec<u8>,
    last: Observation,
    usage: Option<Usage>,
}

fn watch(dialect: WireFormat, stream: &[u8], cuts: &[usize]) -> Seen {
    let body = Bytes::from_static(b"{\"stream\":true}");
    let mut observer = StreamObserver::new(&Envelope::scan(dialect, body).unwrap());
    let stream = Bytes::copy_from_slice(stream);
    let mut forward = Vec::new();
    let mut start = 0;
    for &end in cuts.iter().chain([&stream.len()]) {
        let piece = stream.slice(start..end);
        observer.push(&piece, &mut forward).unwrap();
        start = end;
    }
    let last = observer.finish(&mut forward).unwrap();
    Seen {
        forwarded: forward.concat(),
        last,
        usage: observer.usage(),
    }
}

fn check_cuts(
    dialect: WireFormat,
    events: &[&str],
    cuts: &[prop::sample::Index],
) -> Result<(), TestCaseError> {
    let stream = events.concat();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.sort_unstable();
    let expected: String = events
        .iter()
        .filter(|event| **event != OPENAI_USAGE)
        .copied()
        .collect();
    let whole = watch(dialect, stream.as_bytes(), &[]);
    let cut = watch(dialect, stream.as_bytes(), &cuts);
    prop_assert_eq!(&whole.forwarded, expected.as_bytes());
    prop_assert_eq!(
        String::from_utf8(cut.forwarded),
        String::from_utf8(whole.forwarded)
    );
    prop_assert_eq!(cut.last, whole.last);
    prop_assert_eq!(cut.usage, whole.usage);
    Ok(())
}

fn with_last(events: Vec<&'static str>, last: &'static str) -> Vec<&'static str> {
    events.into_iter().chain([last]).collect()
}

proptest! {
    #[test]
    fn openai_streams_are_the_same_at_every_cut(
        events in prop::collection::vec(prop::sample::select(OPENAI_EVENTS), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let events = with_last(with_last(events, OPENAI_EVENTS[1]), "data: [DONE]\n\n");
        check_cuts(WireFormat::OpenAiChat, &events, &cuts)?;
    }

    #[test]
    fn anthropic_streams_are_the_same_at_every_cut(
        events in prop::collection::vec(prop::sample::select(ANTHROPIC_EVENTS), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let events = with_last(events, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        check_cuts(WireFormat::AnthropicMessages, &events, &cuts)?;
    }

    #[test]
    fn any_bytes_are_watched_without_a_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
    ) {
        for dialect in [WireFormat::OpenAiChat, WireFormat::AnthropicMessages] {
            let envelope = Envelope::scan(dialect, Bytes::from_static(b"{}")).unwrap();
            let mut observer = StreamObserver::new(&envelope);
            let mut forward = Vec::new();
            for piece in &pieces {
                if observer.push(&Bytes::from(piece.clone()), &mut forward).is_err() {
                    break;
                }
            }
            prop_assert!(forward.concat().len() <= pieces.concat().len());
        }
    }
}

#[test]
fn usage_of_whole_answers_is_found() {
    let openai = br#"{"id":"x","choices":[{"message":{"content":"\"usage\":{}"}}],
        "usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,
        "prompt_tokens_details":{"cached_tokens":3}}}"#;
    let expected = Usage {
        uncached_input_tokens: 7,
        cache_read_tokens: 3,
        output_tokens: 4,
        ..Usage::default()
    };
    assert_eq!(usage(WireFormat::OpenAiChat, openai), Ok(Some(expected)));
    let anthropic = br#"{"type":"message","content":[],"usage":{"input_tokens":7,
        "cache_read_input_tokens":3,"output_tokens":4}}"#;
    assert_eq!(
        usage(WireFormat::AnthropicMessages, anthropic),
        Ok(Some(expected))
    );
    for body in [&b"{}"[..], b"{\"usage\":null}", b"{\"error\":null}"] {
        assert_eq!(usage(WireFormat::OpenAiChat, body), Ok(None));
    }
}

#[test]
fn an_answer_that_is_no_answer_is_a_failure() {
    for body in [&b"[]"[..], b"", b"{\"usage\":", b"<html>", b"{} {}"] {
        let error = usage(WireFormat::OpenAiChat, body).expect_err("a failure");
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
    let reported = usage(WireFormat::OpenAiChat, br#"{"error":{"message":"no"}}"#);
    assert_eq!(
        reported.map_err(|error| error.message),
        Err("no".to_owned())
    );
}

/// Both ways of reading a stream, event by event: what the observer sees must be what
/// the decoder says.
fn check_against_decoder(id: &str, target: &Target, dialect: WireFormat, stream: &str) {
    let body = Bytes::from_static(b"{\"stream\":true}");
    let mut observer = StreamObserver::new(&Envelope::scan(dialect, body).unwrap());
    let mut decoder = Decoder::new(target, jiff::Timestamp::UNIX_EPOCH);
    let (mut forward, mut events) = (Vec::new(), Vec::new());
    for event in stream.split_inclusive("\n\n") {
        let seen = observer.push(&Bytes::from(event.to_owned()), &mut forward);
        let seen = seen.unwrap();
        decoder.push(event.as_bytes(), &mut events).unwrap();
        let error = events.iter().find_map(|event| match event {
            ChatEvent::Error(error) => Some(error),
            _ => None,
        });
        assert_eq!(seen.error.as_ref(), error, "{id}: {event}");
        if error.is_some() {
            return;
        }
        let usage = events.iter().rev().find_map(|event| match event {
            ChatEvent::Usage(usage) => Some(*usage),
            _ => None,
        });
        assert_eq!(observer.usage(), usage, "{id}: {event}");
        let has_content = events.iter().any(ChatEvent::is_content);
        assert_eq!(seen.has_content, has_content, "{id}: {event}");
        let is_complete = events.contains(&ChatEvent::End);
        assert_eq!(seen.is_complete, is_complete, "{id}: {event}");
    }
    let finished = observer.finish(&mut forward).map(|seen| seen.has_content);
    let decoded = decoder.finish(&mut events).map(|()| true);
    assert_eq!(finished.ok(), decoded.ok(), "{id}");
}

#[test]
fn the_observer_sees_what_the_decoder_says() {
    let files = [
        include_str!("../vectors/anthropic.jsonl"),
        include_str!("../vectors/deepseek.jsonl"),
        include_str!("../vectors/fireworks.jsonl"),
        include_str!("../vectors/groq.jsonl"),
        include_str!("../vectors/openai.jsonl"),
        include_str!("../vectors/openrouter.jsonl"),
        include_str!("../vectors/perplexity.jsonl"),
        include_str!("../vectors/together.jsonl"),
        include_str!("../vectors/xai.jsonl"),
    ];
    let mut checked = 0;
    for record in files.into_iter().flat_map(Record::all) {
        if record.provider_stream.is_none() || record.goes_through_responses() {
            continue;
        }
        let target = Target::new(&record.settings()).unwrap();
        let dialect = match target.protocol {
            Protocol::OpenaiChat => WireFormat::OpenAiChat,
            Protocol::OpenaiResponses => WireFormat::OpenAiResponses,
            Protocol::AnthropicMessages => WireFormat::AnthropicMessages,
            // No client speaks the others, so that nothing of them is passed through.
            _ => continue,
        };
        let stream = stream_text(&record);
        check_against_decoder(&record.id, &target, dialect, &stream);
        checked += 1;
    }
    assert!(checked >= 20, "only {checked} streams");
}
