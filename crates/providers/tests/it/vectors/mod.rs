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

use std::collections::BTreeMap;

use record::Record;

/// A rule by which we mean something else than LangChain, or have not got that far.
pub(crate) type Rule = &'static str;

/// LangChain refuses what its Python side cannot do, although the provider can.
pub(crate) const NO_PYTHON_SIDE_CHECKS: Rule =
    "no call or check that only LangChain's Python side needs";
/// LangChain's SDK raises at a parameter that it does not know.
pub(crate) const UNKNOWN_PARAMETERS_ARE_SENT: Rule = "unknown parameters go into the body";

/// How LangChain's `with_structured_output` is said in a request of OpenAI's format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StructuredOutput {
    /// `ChatOpenAI`: the schema loses its title, and `strict` is always said.
    OpenAi,
    /// `ChatAnthropic`: a forced tool unless a schema is asked for, which stays whole.
    Anthropic,
}

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

const OPENAI: Suite = Suite {
    provider: "openai",
    text: include_str!("../../vectors/openai.jsonl"),
    structured_output: StructuredOutput::OpenAi,
    is_pending: Record::goes_through_responses,
    differences: &[
        ("openai/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
        ("openai/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
        ("openai/openai_api_base_alias", UNKNOWN_PARAMETERS_ARE_SENT),
        (
            "openai/use_responses_false_with_reasoning",
            UNKNOWN_PARAMETERS_ARE_SENT,
        ),
        ("openai/response_format_tools", NO_PYTHON_SIDE_CHECKS),
    ],
    at_least: 80,
};

/// What became of one record.
enum Outcome {
    Passed,
    Pending,
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
            "retry" => return Outcome::Pending,
            other => Err(format!("a record of kind {other}")),
        };
        match result {
            Ok(()) => Outcome::Passed,
            Err(problem) => Outcome::Failed(problem),
        }
    }
}

#[test]
fn openai() {
    OPENAI.run();
}
