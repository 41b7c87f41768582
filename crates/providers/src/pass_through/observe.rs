//! Watching a passed-through stream.

use std::ops::Range;

use bytes::Bytes;

use super::envelope::Envelope;
use super::notice::{self, Block, Notice};
use super::usage::{self, Counts, malformed};
use crate::chat::WireFormat;
use crate::chat::usage::Usage;
use crate::error::ProviderError;
use crate::framing::sse::{Event, Parser};

/// How much of an unfinished event is kept back at most. A larger one is let through as
/// it comes; it can be neither a report of usage nor a failure.
const MAX_HELD_BYTES: usize = 64 << 10;

/// Reads usage, failures and first content out of a passed-through stream without changing it.
///
/// Whole events go on at once. The beginning of an event waits for its end: no client
/// can act on it before, and so an answer that breaks off leaves the client's stream
/// between two events, where an error can be told.
///
/// Where the client did not ask for usage but the provider was asked for it on our
/// account, the event that holds nothing else is left out.
pub struct StreamObserver {
    parser: Parser,
    progress: Progress,
    outlet: Outlet,
}

/// What an observer saw in one piece of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Whether content has been seen in this or an earlier piece: text, reasoning, a tool
    /// call, a refusal, or that the answer is over.
    pub has_content: bool,
    /// Whether a whole block of content has been seen: a text or thought that has ended,
    /// a tool call with all its arguments, or that the answer is over.
    pub has_block: bool,
    /// Whether the stream's last event has been seen.
    pub is_complete: bool,
    /// A failure that the provider reported inside the stream. Its event and what follows
    /// are not forwarded, since they may echo a key: whoever forwards ends the stream
    /// with an error of its own.
    pub error: Option<ProviderError>,
}

/// What the events so far have said.
struct Progress {
    dialect: WireFormat,
    hides_usage: bool,
    counts: Counts,
    has_answer: bool,
    has_content: bool,
    has_block: bool,
    /// The block that grows, where only the next one tells that it is whole.
    growing: Option<Block>,
    has_finished: bool,
    is_complete: bool,
}

/// What becomes of an event.
enum Verdict {
    LetThrough,
    LeaveOut,
    Failed(ProviderError),
}

/// What becomes of the bytes of a piece, in order.
#[derive(Default)]
struct Outlet {
    /// The beginning of the event at hand, from earlier pieces.
    held: Vec<Bytes>,
    held_bytes: usize,
    /// Whether the beginning of the event at hand has been let through.
    is_under_way: bool,
    /// The bytes of this piece before `start` are dealt with, those before `end` may go.
    start: usize,
    end: usize,
}

impl StreamObserver {
    /// Begins with an empty stream, the answer to this call.
    #[must_use]
    pub fn new(envelope: &Envelope) -> Self {
        let progress = Progress {
            dialect: envelope.dialect(),
            hides_usage: !envelope.wants_stream_usage(),
            counts: Counts::new(envelope.dialect()),
            has_answer: false,
            has_content: false,
            has_block: false,
            growing: None,
            has_finished: false,
            is_complete: false,
        };
        Self {
            parser: Parser::new(),
            progress,
            outlet: Outlet::default(),
        }
    }

    /// Looks at the next bytes and appends to `forward` what the client may see now.
    ///
    /// # Errors
    /// When they are not the format, or an event is larger than the bound. What came
    /// before has been appended then. Nothing may be pushed after that.
    pub fn push(
        &mut self,
        piece: &Bytes,
        forward: &mut Vec<Bytes>,
    ) -> Result<Observation, ProviderError> {
        (self.outlet.start, self.outlet.end) = (0, 0);
        let looked = self.look(piece, forward);
        self.outlet.release(piece, forward);
        let error = looked?;
        if error.is_none() {
            self.outlet.hold(piece, forward);
        }
        Ok(self.progress.observation(error))
    }

    /// Says that the provider closed the stream.
    ///
    /// # Errors
    /// When the answer was not whole. An event that is not whole is not forwarded.
    pub fn finish(&mut self, forward: &mut Vec<Bytes>) -> Result<Observation, ProviderError> {
        let mut error = None;
        if let Some(event) = self.parser.finish()? {
            match self.progress.take(&event)? {
                Verdict::LetThrough => forward.append(&mut self.outlet.held),
                Verdict::LeaveOut => {}
                Verdict::Failed(failure) => error = Some(failure),
            }
        }
        if error.is_none() && !self.progress.is_complete && !self.progress.has_finished {
            return Err(malformed("the stream ended before the answer was whole"));
        }
        Ok(self.progress.observation(error))
    }

    /// How much of an event is held whose end has not come, in bytes.
    #[must_use]
    pub const fn unfinished(&self) -> usize {
        self.parser.unfinished()
    }

    /// The tokens reported so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.progress.counts.usage()
    }

    /// Looks at every event that the piece completes, up to one that reports a failure.
    fn look(
        &mut self,
        piece: &Bytes,
        forward: &mut Vec<Bytes>,
    ) -> Result<Option<ProviderError>, ProviderError> {
        let mut feed = self.parser.feed(piece);
        while let Some(event) = feed.next()? {
            match self.progress.take(&event)? {
                Verdict::LetThrough => self.outlet.let_through(feed.boundary()),
                Verdict::LeaveOut => {
                    let event = feed.event_start()..feed.boundary();
                    self.outlet.leave_out(piece, event, forward);
                }
                Verdict::Failed(error) => return Ok(Some(error)),
            }
        }
        let boundary = feed.boundary();
        self.outlet.let_through(if self.parser.is_between_events() {
            piece.len()
        } else {
            boundary
        });
        Ok(None)
    }
}

impl Progress {
    fn take(&mut self, event: &Event<'_>) -> Result<Verdict, ProviderError> {
        let notice = notice::read(self.dialect, event)?;
        self.has_answer |= notice.is_of_answer;
        if notice.is_end && !self.has_answer {
            return Err(malformed("the stream ended without an answer"));
        }
        self.has_content |= notice.is_content;
        self.has_block |= self.has_content && self.ends_block(&notice);
        self.has_finished |= notice.is_finish;
        self.is_complete |= notice.is_end;
        if let Some(report) = &notice.usage {
            self.counts.update(report);
        }
        Ok(match notice.error {
            Some(error) => Verdict::Failed(usage::failure(self.dialect, &error)),
            None if self.hides_usage && notice.is_usage_only => Verdict::LeaveOut,
            None => Verdict::LetThrough,
        })
    }

    /// Whether with this event a block of the answer is whole.
    fn ends_block(&mut self, notice: &Notice) -> bool {
        let has_changed = notice.grows.is_some_and(|grows| {
            let before = self.growing.replace(grows.last).unwrap_or(grows.first);
            before != grows.last
        });
        notice.ends_block || notice.is_end || has_changed
    }

    const fn observation(&self, error: Option<ProviderError>) -> Observation {
        Observation {
            has_content: self.has_content,
            has_block: self.has_block,
            is_complete: self.is_complete,
            error,
        }
    }
}

impl Outlet {
    /// The piece may go as far as `end`, where an event ends.
    const fn let_through(&mut self, end: usize) {
        self.end = end;
    }

    /// The event stays behind, unless its beginning is gone already.
    fn leave_out(&mut self, piece: &Bytes, event: Range<usize>, forward: &mut Vec<Bytes>) {
        if self.is_under_way && event.start == 0 {
            return self.let_through(event.end);
        }
        self.let_through(event.start);
        self.release(piece, forward);
        self.held.clear();
        self.held_bytes = 0;
        (self.start, self.end) = (event.end, event.end);
    }

    /// Appends what may go: the beginning that was held, and the piece as far as it may.
    fn release(&mut self, piece: &Bytes, forward: &mut Vec<Bytes>) {
        if self.end > self.start {
            forward.append(&mut self.held);
            self.held_bytes = 0;
            self.is_under_way = false;
            forward.push(piece.slice(self.start..self.end));
            self.start = self.end;
        }
    }

    /// Keeps the rest of the piece, the beginning of an event, or lets it through where
    /// it has become too large.
    fn hold(&mut self, piece: &Bytes, forward: &mut Vec<Bytes>) {
        let rest = piece.slice(self.start..);
        if rest.is_empty() {
            return;
        }
        self.held_bytes += rest.len();
        self.held.push(rest);
        if self.is_under_way || self.held_bytes > MAX_HELD_BYTES {
            forward.append(&mut self.held);
            self.held_bytes = 0;
            self.is_under_way = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observer(dialect: WireFormat, body: &'static str) -> StreamObserver {
        let envelope = Envelope::scan(dialect, Bytes::from_static(body.as_bytes()));
        StreamObserver::new(&envelope.unwrap())
    }

    fn openai() -> StreamObserver {
        observer(WireFormat::OpenAiChat, r#"{"stream":true}"#)
    }

    fn anthropic() -> StreamObserver {
        observer(WireFormat::AnthropicMessages, r#"{"stream":true}"#)
    }

    fn push(observer: &mut StreamObserver, piece: &str) -> (String, Observation) {
        let mut forward = Vec::new();
        let piece = Bytes::copy_from_slice(piece.as_bytes());
        let observation = observer.push(&piece, &mut forward).unwrap();
        (String::from_utf8(forward.concat()).unwrap(), observation)
    }

    /// Forwards a stream that is cut at `cuts`; also what was seen at its end.
    fn run(mut observer: StreamObserver, stream: &str, cuts: &[usize]) -> (String, Observation) {
        let mut forwarded = String::new();
        let mut start = 0;
        for &end in cuts.iter().chain([&stream.len()]) {
            forwarded += &push(&mut observer, &stream[start..end]).0;
            start = end;
        }
        let mut forward = Vec::new();
        let observation = observer.finish(&mut forward).unwrap();
        forwarded += std::str::from_utf8(&forward.concat()).unwrap();
        (forwarded, observation)
    }

    const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\
        \"content\":\"\",\"refusal\":null},\"finish_reason\":null}],\"usage\":null}\n\n";
    const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\
        \"\\\"usage\\\": h\u{e9}\"},\"finish_reason\":null}],\"usage\":null}\n\n";
    const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\
        \"stop\"}],\"usage\":null}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\
        \"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":4},\
        \"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    #[test]
    fn only_content_counts_as_content() {
        let mut observer = openai();
        assert!(!push(&mut observer, ": keep alive\n\n").1.has_content);
        assert!(!push(&mut observer, ROLE).1.has_content);
        assert!(
            !push(&mut observer, "data: {\"choices\":[],\"x\":[1]}\n\n")
                .1
                .has_content
        );
        assert!(push(&mut observer, TEXT).1.has_content);
        assert!(push(&mut observer, ROLE).1.has_content, "it stays");
        for delta in [
            r#"{"content":"a"}"#,
            r#"{"refusal":"a"}"#,
            r#"{"reasoning_content":"a"}"#,
            r#"{"role":"assistant","tool_calls":[{"index":0}]}"#,
        ] {
            let chunk = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
            assert!(push(&mut openai(), &chunk).1.has_content, "{delta}");
        }
        for delta in [
            r#"{"content":""}"#,
            r#"{"role":"a","tool_calls":[]}"#,
            "{}",
            "null",
        ] {
            let chunk = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
            assert!(!push(&mut openai(), &chunk).1.has_content, "{delta}");
        }
    }

    #[test]
    fn usage_on_our_account_is_left_out_at_every_cut() {
        let stream = [": hi\n\n", ROLE, TEXT, FINISH, USAGE, DONE].concat();
        let expected = [": hi\n\n", ROLE, TEXT, FINISH, DONE].concat();
        let places = (0..=stream.len()).filter(|&place| stream.is_char_boundary(place));
        let places: Vec<usize> = places.collect();
        for &cut in &places {
            let (forwarded, observation) = run(openai(), &stream, &[cut]);
            assert_eq!(forwarded, expected, "cut at {cut}");
            assert!(observation.is_complete && observation.has_content);
        }
        assert_eq!(run(openai(), &stream, &places).0, expected);
        let asked = r#"{"stream_options":{"include_usage":true}}"#;
        let asked = || observer(WireFormat::OpenAiChat, asked);
        assert_eq!(run(asked(), &stream, &places).0, stream);
    }

    #[test]
    fn a_block_is_whole_when_the_next_begins_or_the_answer_is_over() {
        let chunk = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        let (thought, text) = (r#"{"reasoning_content":"a"}"#, r#"{"content":"a"}"#);
        let call = |index: u64| format!("{{\"tool_calls\":[{{\"index\":{index}}}]}}");
        let both = r#"{"tool_calls":[{"index":0},{"index":1}]}"#;
        let (first, second) = (call(0), call(1));
        let end = r#"{"role":"assistant","content":"","tool_calls":[]}"#;
        for (deltas, expected) in [
            (vec![text, text, end], false),
            (vec![thought, r#"{"content":"","reasoning":"b"}"#], false),
            (vec![thought, text], true),
            (vec![r#"{"reasoning":"a","content":"b"}"#], true),
            (vec![text, &first], true),
            (vec![&first, &first], false),
            (vec![&first, &second], true),
            (vec![both], true),
            (
                vec![text, r#"{"tool_calls":null,"annotations":[1]}"#],
                false,
            ),
        ] {
            let mut observer = openai();
            let seen = deltas
                .iter()
                .map(|delta| push(&mut observer, &chunk(delta)).1);
            let seen = seen.last().unwrap();
            assert!(seen.has_content);
            assert_eq!(seen.has_block, expected, "{deltas:?}");
            assert!(push(&mut observer, FINISH).1.has_block);
        }
        let other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"refusal\":\"a\"}}]}\n\n";
        let mut observer = openai();
        push(&mut observer, TEXT);
        assert!(!push(&mut observer, other).1.has_block, "of another answer");
    }

    #[test]
    fn usage_is_read() {
        let mut observer = openai();
        assert_eq!(observer.usage(), None);
        push(&mut observer, USAGE);
        let expected = Usage {
            uncached_input_tokens: 6,
            cache_read_tokens: 4,
            output_tokens: 5,
            reasoning_tokens: 2,
            ..Usage::default()
        };
        assert_eq!(observer.usage(), Some(expected));
    }

    #[test]
    fn whole_events_go_at_once_and_unfinished_ones_wait() {
        let mut observer = openai();
        let (first, rest) = TEXT.split_at(30);
        assert_eq!(push(&mut observer, &[ROLE, first].concat()).0, ROLE);
        assert_eq!(
            push(&mut observer, &[rest, FINISH].concat()).0,
            [TEXT, FINISH].concat()
        );
        assert_eq!(push(&mut observer, ": ping\n\n").0, ": ping\n\n");
    }

    #[test]
    fn an_event_that_is_too_large_to_hold_goes_as_it_comes() {
        let mut observer = openai();
        let piece = "x".repeat(MAX_HELD_BYTES);
        let beginning = format!("data: {{\"x\":\"{piece}");
        assert_eq!(push(&mut observer, &beginning).0, beginning);
        assert_eq!(push(&mut observer, "y").0, "y");
        assert_eq!(push(&mut observer, "\"}\n\ndata: ").0, "\"}\n\n");
        assert_eq!(push(&mut observer, "{}\n\n").0, "data: {}\n\n");
    }

    #[test]
    fn failures_are_reported_and_not_forwarded() {
        let mut observer = openai();
        let piece = [
            ROLE,
            "data: {\"error\":{\"message\":\"no\",\"code\":\"x\"}}\n\n",
        ]
        .concat();
        let (forwarded, observation) = push(&mut observer, &piece);
        assert_eq!(forwarded, ROLE);
        assert_eq!(observation.error.unwrap().message, "no");
        let piece = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\
            \"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
        let (forwarded, observation) = push(&mut anthropic(), piece);
        assert_eq!(forwarded, "");
        assert_eq!(observation.error.unwrap().message, "Overloaded");
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        for stream in ["", ROLE, &[ROLE, TEXT].concat(), "data: {\"choi"] {
            let mut observer = openai();
            push(&mut observer, stream);
            let mut forward = Vec::new();
            assert!(observer.finish(&mut forward).is_err(), "{stream}");
            assert!(forward.is_empty());
        }
        let mut forward = Vec::new();
        let empty = Bytes::from_static(DONE.as_bytes());
        assert!(openai().push(&empty, &mut forward).is_err());
        let broken = [TEXT, "data: {\"choi\n\n"].concat();
        assert!(openai().push(&Bytes::from(broken), &mut forward).is_err());
        assert_eq!(forward.concat(), TEXT.as_bytes());
        let unended = [TEXT, "data: [DONE]"].concat();
        assert_eq!(run(openai(), &unended, &[]).0, unended);
        assert_eq!(run(openai(), FINISH, &[]).0, FINISH);
    }

    const MESSAGE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":\
        {\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: ping\ndata: {\"type\":\"ping\"}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
        \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    const ANSWER: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\
        \"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
        \"end_turn\"},\"usage\":{\"output_tokens\":12}}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[test]
    fn anthropic_streams_are_read() {
        let mut observer = anthropic();
        assert!(!push(&mut observer, MESSAGE).1.has_content);
        let (delta, rest) = ANSWER.split_at(ANSWER.find("event: content_block_stop").unwrap());
        let observation = push(&mut observer, delta).1;
        assert!(observation.has_content && !observation.has_block);
        let (stop, rest) = rest.split_at(rest.find("event: message_delta").unwrap());
        assert!(push(&mut observer, stop).1.has_block);
        let observation = push(&mut observer, rest).1;
        assert!(observation.has_block && !observation.is_complete);
        assert!(push(&mut observer, STOP).1.is_complete);
        let usage = observer.usage().unwrap();
        assert_eq!(
            (usage.uncached_input_tokens, usage.cache_read_tokens),
            (7, 3)
        );
        assert_eq!(usage.output_tokens, 12);
        let tool =
            "event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\"}}\n\n";
        assert!(push(&mut anthropic(), tool).1.has_content);
        let unnamed = "data: {\"type\":\"message_stop\"}\n\n";
        assert!(push(&mut anthropic(), unnamed).1.is_complete);
    }

    #[test]
    fn anthropic_streams_pass_unchanged_at_every_cut() {
        let stream = [MESSAGE, ANSWER, STOP].concat();
        for cut in 0..=stream.len() {
            let (forwarded, observation) = run(anthropic(), &stream, &[cut]);
            assert_eq!(forwarded, stream);
            assert!(observation.is_complete);
        }
        let crlf = stream.replace('\n', "\r\n");
        let every: Vec<usize> = (0..crlf.len()).collect();
        assert_eq!(run(anthropic(), &crlf, &every).0, crlf);
    }
}
