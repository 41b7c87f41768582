//! How the stand-in is told what to do: by the model's name or the header `x-simulate`.
//!
//! A directive is a list of items with colons between them. In a model's name it
//! follows `fault:` or a name that begins with `simulated`; the header holds the
//! items alone. [`HELP`] lists the items; `quartermaster simulate --help` prints it.

use std::time::Duration;

use http::HeaderMap;

/// The header that holds a directive, for models whose name says nothing.
pub const HEADER: &str = "x-simulate";

/// The items of a directive, for people.
pub const HELP: &str = "\
Failures (any number of items, in any order; SECONDS may have a fraction):
  400 401 403 404 413 422 429 500 503 529 …   answer with this status
  retry-after=SECONDS   send Retry-After with it
  echo-key              quote the received key in the error (401 unless said otherwise)
  html                  an HTML error page (502 unless said otherwise)
  malformed             broken JSON: the whole answer, or an event of the stream
  empty                 200 and nothing else
  delay=SECONDS         the response header comes late
  body-delay=SECONDS    the header at once, the first byte of the body late
  drip=SECONDS          one byte at a time, with this much between two
  stall[=N]             send nothing more after N pieces (2), and keep the connection
  reset[=N]             reset the connection after N pieces (0: before the first byte)
  truncate[=N]          end the answer cleanly after N pieces (2), without its last events
  error-event[=N]       an error event in the stream after N pieces (2)
  times=N               fail only the first N requests with this very directive and path
  odds=P                fail with this probability (0 to 1), the same requests in every run
  seed=N                with odds: other requests than those of another seed
  id=TEXT               nothing; makes a directive with its own count

Content:
  words=N               an answer of N words
  pace=SECONDS          between two pieces of a stream
  tools=N               call N tools (one where tools are declared, none where not)
  reasoning=N           N reasoning tokens
  cache-read=N, cache-write=N   prompt tokens read from or written to a cache

Examples of model names:
  simulated-chat                      an ordinary answer
  simulated-chat:words=200:pace=0.02  a long stream
  fault:429:retry-after=2             rate limited
  fault:500:times=2                   fails twice, then works
  fault:delay=3:times=1               the first answer comes late
  fault:reset=3                       a stream that breaks off";

/// What the answer says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// How many words; otherwise it quotes the question.
    pub words: Option<usize>,
    /// Between two pieces of a stream.
    pub pace: Duration,
    /// How many tools to call.
    pub tools: Option<usize>,
    /// Reasoning tokens to report.
    pub reasoning: u64,
    /// Prompt tokens to report as read from a cache.
    pub cache_read: u64,
    /// Prompt tokens to report as written to a cache.
    pub cache_write: u64,
}

/// Which requests fail: as good as random, but the same in every run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// How likely a failure is, from 0 to 1.
    pub probability: f64,
    /// Other seeds, other failures.
    pub seed: u32,
}

impl Odds {
    /// Whether the request fails that has this number among those with the directive.
    #[must_use]
    pub fn fails(self, number: u32) -> bool {
        // SplitMix64 (Steele, Lea and Flood, 2014): its outputs are spread evenly even
        // where its inputs follow one another.
        let mut mixed = (u64::from(self.seed) << 32 | u64::from(number))
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or_default();
        f64::from(drawn) < self.probability * f64::from(u32::MAX)
    }
}

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    status: Option<u16>,
    /// The value of `Retry-After`.
    pub retry_after: Option<String>,
    /// Only so many requests fail.
    pub times: Option<u32>,
    /// Only some requests fail.
    pub odds: Option<Odds>,
    /// Before the response header.
    pub delay: Duration,
    /// Between the header and the body.
    pub body_delay: Duration,
    /// Between two bytes.
    pub drip: Option<Duration>,
    /// Send nothing more after so many pieces.
    pub stall_after: Option<usize>,
    /// Reset the connection after so many pieces.
    pub reset_after: Option<usize>,
    /// End cleanly after so many pieces.
    pub truncate_after: Option<usize>,
    /// An error event after so many pieces.
    pub error_event_after: Option<usize>,
    /// Broken JSON.
    pub is_malformed: bool,
    /// An HTML page.
    pub is_html: bool,
    /// No body.
    pub is_empty: bool,
    /// The received key in the error.
    pub echoes_key: bool,
}

impl Fault {
    /// The status to fail with; none where the answer begins well.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.status {
            Some(status) => Some(status),
            None if self.echoes_key => Some(401),
            None if self.is_html => Some(502),
            None => None,
        }
    }
}

/// One directive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// Its text, which `times=` is counted by.
    pub directive: String,
    /// What the answer says.
    pub content: Content,
    /// What goes wrong.
    pub fault: Fault,
}

impl Behaviour {
    /// Reads the directive of a request; the header wins over the model's name.
    ///
    /// # Errors
    /// When an item is unknown, with a message that names it.
    pub fn of(model: &str, headers: &HeaderMap) -> Result<Self, String> {
        let directive = match headers.get(HEADER) {
            Some(value) => value
                .to_str()
                .map_err(|_| "x-simulate is no text".to_owned())?,
            None => match model.split_once(':') {
                Some((name, items)) if name == "fault" || name.starts_with("simulated") => items,
                _ => "",
            },
        };
        Self::parse(directive)
    }

    /// Reads a directive.
    ///
    /// # Errors
    /// When an item is unknown, with a message that names it.
    pub fn parse(directive: &str) -> Result<Self, String> {
        let mut behaviour = Self {
            directive: directive.to_owned(),
            ..Self::default()
        };
        for item in directive.split(':').filter(|item| !item.is_empty()) {
            behaviour.take(item)?;
        }
        Ok(behaviour)
    }

    fn take(&mut self, item: &str) -> Result<(), String> {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (item, None),
        };
        let (content, fault) = (&mut self.content, &mut self.fault);
        match name {
            "retry-after" => fault.retry_after = value.map(str::to_owned),
            "times" => fault.times = Some(number(item, value)?),
            "odds" => fault.odds.get_or_insert_default().probability = odds(item, value)?,
            "seed" => fault.odds.get_or_insert_default().seed = number(item, value)?,
            "delay" => fault.delay = seconds(item, value)?,
            "body-delay" => fault.body_delay = seconds(item, value)?,
            "drip" => fault.drip = Some(seconds(item, value)?),
            "stall" => fault.stall_after = Some(pieces(item, value, 2)?),
            "reset" => fault.reset_after = Some(pieces(item, value, 0)?),
            "truncate" => fault.truncate_after = Some(pieces(item, value, 2)?),
            "error-event" => fault.error_event_after = Some(pieces(item, value, 2)?),
            "malformed" => fault.is_malformed = true,
            "html" => fault.is_html = true,
            "empty" => fault.is_empty = true,
            "echo-key" => fault.echoes_key = true,
            "id" => {}
            "words" => content.words = Some(number(item, value)?),
            "pace" => content.pace = seconds(item, value)?,
            "tools" => content.tools = Some(number(item, value)?),
            "reasoning" => content.reasoning = number(item, value)?,
            "cache-read" => content.cache_read = number(item, value)?,
            "cache-write" => content.cache_write = number(item, value)?,
            _ => match name.parse() {
                Ok(status @ 300..=599) => fault.status = Some(status),
                _ => return Err(format!("the stand-in knows no `{item}`\n{HELP}")),
            },
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr>(item: &str, value: Option<&str>) -> Result<N, String> {
    value.and_then(|value| value.parse().ok()).ok_or_else(|| {
        format!(
            "`{item}` needs a whole number, e.g. `{}`",
            example(item, "2")
        )
    })
}

fn pieces(item: &str, value: Option<&str>, default: usize) -> Result<usize, String> {
    value.map_or(Ok(default), |value| number(item, Some(value)))
}

fn seconds(item: &str, value: Option<&str>) -> Result<Duration, String> {
    value
        .and_then(|value| value.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("`{item}` needs seconds, e.g. `{}`", example(item, "0.5")))
}

fn odds(item: &str, value: Option<&str>) -> Result<f64, String> {
    let probability = value.and_then(|value| value.parse::<f64>().ok());
    probability
        .filter(|probability| (0.0..=1.0).contains(probability))
        .ok_or_else(|| {
            format!(
                "`{item}` needs a number from 0 to 1, e.g. `{}`",
                example(item, "0.3")
            )
        })
}

fn example(item: &str, value: &str) -> String {
    let name = item.split('=').next().unwrap_or(item);
    format!("{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_says_how_to_fail() {
        let behaviour =
            Behaviour::of("fault:429:retry-after=2:times=3", &HeaderMap::new()).unwrap();
        assert_eq!(behaviour.fault.status(), Some(429));
        assert_eq!(behaviour.fault.retry_after.as_deref(), Some("2"));
        assert_eq!(behaviour.fault.times, Some(3));
    }

    #[test]
    fn names_of_real_models_say_nothing() {
        let behaviour = Behaviour::of("ft:gpt-4o:org::id", &HeaderMap::new()).unwrap();
        assert_eq!(behaviour, Behaviour::default());
    }

    #[test]
    fn the_header_wins() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "words=3:pace=0.25".parse().unwrap());
        let behaviour = Behaviour::of("fault:500", &headers).unwrap();
        assert_eq!(behaviour.fault.status(), None);
        assert_eq!(behaviour.content.words, Some(3));
        assert_eq!(behaviour.content.pace, Duration::from_millis(250));
    }

    #[test]
    fn odds_are_kept_and_seeds_differ() {
        let failures = |seed| {
            let behaviour = Behaviour::parse(&format!("503:odds=0.3:seed={seed}")).unwrap();
            let odds = behaviour.fault.odds.unwrap();
            (0..1000)
                .filter(|number| odds.fails(*number))
                .collect::<Vec<_>>()
        };
        let (first, second) = (failures(1), failures(2));
        assert_eq!(first, failures(1));
        assert_ne!(first, second);
        for failed in [first.len(), second.len()] {
            assert!((250..350).contains(&failed), "{failed} of 1,000");
        }
        assert!(Behaviour::parse("503:odds=1.5").is_err());
    }

    #[test]
    fn an_unknown_item_is_named() {
        assert!(
            Behaviour::parse("429:whoops")
                .unwrap_err()
                .contains("`whoops`")
        );
        assert!(
            Behaviour::parse("delay=soon")
                .unwrap_err()
                .contains("delay=0.5")
        );
        assert!(Behaviour::parse("777").is_err());
    }
}
