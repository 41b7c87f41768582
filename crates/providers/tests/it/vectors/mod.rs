//! Every wire vector of every provider: what LangChain sends for a configuration and a
//! conversation, and what it makes of an answer.
//!
//! A provider plugs in with one [`Suite`]. Whatever a suite lists as different on purpose
//! must really differ, so that no list outlives its reason.

mod anthropic;
pub(crate) mod compare;
pub(crate) mod record;
mod requests;
pub(crate) mod responses;
mod suites;

use std::collections::BTreeMap;

use record::Record;

/// A rule by which we mean something else than LangChain, or have not got that far.
pub(crate) type Rule = &'static str;

/// LangChain refuses what its Python side cannot do, although the provider can.
pub(crate) const NO_PYTHON_SIDE_CHECKS: Rule =
    "no call or check that only LangChain's Python side needs";
/// LangChain's SDK raises at a parameter that it does not know.
pub(crate) const UNKNOWN_PARAMETERS_ARE_SENT: Rule = "unknown parameters go into the body";

/// Usage is read wherever a provider puts it, and answers keep what LangChain drops.
pub(crate) const ANSWERS_KEEP_MORE: Rule = "answers keep what LangChain drops";
/// `max_tokens`, `timeout_seconds`, `max_retries` and `api_key` always do what they say.
pub(crate) const OWN_FIELDS: Rule = "the configuration's own fields always do what they say";
/// LangChain loses or replaces what the client wrote.
pub(crate) const NOTHING_IS_LOST: Rule = "messages, tools and formats are passed on as written";
/// A request that the provider refuses for certain is repaired where that is plain.
pub(crate) const REPAIRED: Rule = "what the provider refuses for certain is repaired";
/// Secrets, code, files and proxies; addresses that are none.
pub(crate) const REFUSED: Rule = "members that are secrets, code, files or proxies are refused";
/// Metering needs the usage of a stream, whatever is asked of it.
pub(crate) const USAGE_IS_ASKED: Rule = "a stream is always asked for its usage";
/// OpenAI's `logprobs` is a flag beside `top_logprobs`; LangChain's is a number for some.
pub(crate) const DIALECT: Rule = "a request's members mean what its dialect says";
/// Models of Bedrock that take one text as their prompt, each in a shape of its own; the
/// Converse API reaches the same models with messages.
pub(crate) const PROMPT_ONLY: Rule = "models that take only a prompt are called through Converse";

/// How LangChain's `with_structured_output` is said in a request of OpenAI's format.
#[derive(Clone, Copy)]
pub(crate) struct StructuredOutput {
    /// The method where none is named.
    pub(crate) default_method: &'static str,
    /// Whether every method but `json_mode` means a forced tool.
    pub(crate) always_calls_tool: bool,
    /// Whether the schema keeps its title and description.
    pub(crate) keeps_title: bool,
    /// Whether a schema that keeps them is described beside itself too.
    pub(crate) repeats_description: bool,
    /// Whether `json_mode` asks for the schema too.
    pub(crate) json_mode_is_schema: bool,
    /// Whether `json_mode` means a forced tool.
    pub(crate) json_mode_calls_tool: bool,
    /// Whether a forced tool comes with `parallel_tool_calls: false`.
    pub(crate) forbids_parallel_calls: bool,
    /// How the tool is forced.
    pub(crate) force: Force,
}

/// How the only tool is forced.
#[derive(Clone, Copy)]
pub(crate) enum Force {
    /// By its name.
    ByName,
    /// By asking for any tool.
    AnyTool,
    /// Not at all.
    Not,
}

/// As `ChatOpenAI` does it.
pub(crate) const OPENAI_STYLE: StructuredOutput = StructuredOutput {
    default_method: "json_schema",
    always_calls_tool: false,
    keeps_title: false,
    repeats_description: false,
    json_mode_is_schema: false,
    json_mode_calls_tool: false,
    forbids_parallel_calls: true,
    force: Force::ByName,
};

/// As `ChatAnthropic` does it: a forced tool unless a schema is asked for, which stays whole.
pub(crate) const ANTHROPIC_STYLE: StructuredOutput = StructuredOutput {
    default_method: "function_calling",
    always_calls_tool: false,
    keeps_title: true,
    repeats_description: false,
    json_mode_is_schema: true,
    json_mode_calls_tool: false,
    forbids_parallel_calls: false,
    force: Force::ByName,
};

/// The vectors of one provider.
pub(crate) struct Suite {
    /// The provider and its file.
    pub(crate) provider: &'static str,
    /// The file's text.
    pub(crate) text: &'static str,
    /// How structured output is said.
    pub(crate) structured_output: StructuredOutput,
    /// Records that go through a protocol which is not spoken yet.
    pub(crate) is_pending: fn(&Record) -> bool,
    /// Records that differ on purpose.
    pub(crate) differences: &'static [(&'static str, Rule)],
    /// Records that must pass, pending and differing ones not counted: a floor that
    /// keeps a suite from emptying itself.
    pub(crate) at_least: usize,
}

/// What became of one record.
enum Outcome {
    Passed,
    /// It goes through a protocol that is not spoken yet.
    Pending,
    /// It is a reference for something that this crate does not do.
    Reference,
    Failed(String),
}

impl Suite {
    #[expect(clippy::print_stdout, reason = "the counts are what one reads")]
    fn run(&self) {
        let mut differences: BTreeMap<&str, Rule> = self.differences.iter().copied().collect();
        let mut passed = BTreeMap::<String, usize>::new();
        let mut pending = 0;
        let mut problems = Vec::new();
        for record in Record::all(self.text) {
            let outcome = self.run_one(&record);
            let rule = differences.remove(record.id.as_str());
            match (outcome, rule) {
                (Outcome::Passed, None) => *passed.entry(record.kind.clone()).or_default() += 1,
                (Outcome::Pending, None) => pending += 1,
                (Outcome::Reference, None) => {}
                (Outcome::Failed(problem), None) => {
                    problems.push(format!("{}: {problem}", record.id));
                }
                (Outcome::Failed(_), Some(_)) => {}
                (_, Some(rule)) => {
                    problems.push(format!("{} no longer differs ({rule})", record.id));
                }
            }
        }
        problems.extend(
            differences
                .keys()
                .map(|id| format!("{id} is listed but not there")),
        );
        let total: usize = passed.values().sum();
        println!(
            "{}: {total} passed {passed:?}, {} differ on purpose, {pending} pending, {} failed",
            self.provider,
            self.differences.len(),
            problems.len()
        );
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(total >= self.at_least, "only {total} records passed");
    }

    fn run_one(&self, record: &Record) -> Outcome {
        let is_pending = (self.is_pending)(record);
        let result = match record.kind.as_str() {
            "request" if is_pending => return requests::refuses(self, record),
            "request" => requests::sends(self, record),
            "request_error" => requests::fails(self, record),
            "response" if is_pending => return Outcome::Pending,
            "response" => responses::means(self, record),
            // Our one retry policy is the gateway's; these records are its reference.
            "retry" => return Outcome::Reference,
            other => Err(format!("a record of kind {other}")),
        };
        match result {
            Ok(()) => Outcome::Passed,
            Err(problem) => Outcome::Failed(problem),
        }
    }
}
