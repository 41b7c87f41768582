//! `quartermaster simulate`: the stand-in provider behind a listener.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use testkit::simulator::{Simulator, behaviour};
use tokio::net::TcpListener;

use super::output;
use crate::shutdown::Signals;

/// A stand-in for providers. It speaks the formats of OpenAI, Anthropic, Google's Gemini and
/// Amazon Bedrock, takes any key, and misbehaves on demand.
#[derive(Debug, Args)]
#[command(after_long_help = help())]
pub(super) struct Simulate {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8701")]
    listen: SocketAddr,
    /// How many requests the ledger remembers
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    remember: usize,
}

fn help() -> String {
    format!(
        "\
Answers follow from the request alone: the same request, the same answer. A token is a
word. Where tools are declared, the first is called with arguments that fit its schema,
until the conversation ends with a tool's result.

Paths:
  POST /v1/chat/completions    OpenAI
  POST /v1/responses           OpenAI, its Responses API
  POST /v1/messages            Anthropic; and /v1/messages/count_tokens
  POST /v1beta/models/MODEL:generateContent, :streamGenerateContent
                               Gemini; and Vertex AI's /…/publishers/google/models/MODEL:…
  POST /model/MODEL/converse, converse-stream, invoke, invoke-with-response-stream
                               Amazon Bedrock
  GET  /v1/models              one model, simulated-chat
  GET  /simulator/ledger       what was received, tokens included; DELETE forgets it

What to do differently is said by the model's name (after `fault:` or a name that begins
with `simulated`, items with colons between them) or by the header `{}: ITEM:ITEM`
(which a gateway does not pass on).

{}

Try:
  quartermaster simulate &
  curl -s http://127.0.0.1:8701/v1/chat/completions \\
    -d '{{\"model\": \"fault:429:retry-after=2\", \"messages\": [{{\"role\": \"user\", \"content\": \"hello\"}}]}}'

Behind a Quartermaster, to see how it takes a provider's bad day:
  QUARTERMASTER_EGRESS__ALLOW_PRIVATE_NETWORKS=true quartermaster serve
  echo any-key | quartermaster model create flaky --provider openai --model fault:500:times=2 \\
    --additional-params '{{\"base_url\": \"http://127.0.0.1:8701/v1\"}}' --api-key-from -
The base_url is http://127.0.0.1:8701/v1 for `openai` and whatever else speaks its format, and
http://127.0.0.1:8701 for `anthropic`, `google_genai`, `google_vertexai` (with a `project`), and,
as `endpoint_url`, for `bedrock_converse` and `bedrock` (with a model of Anthropic's).
Cohere's and Ollama's own formats it does not speak.",
        behaviour::HEADER,
        behaviour::HELP,
    )
}

impl Simulate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        output::explain(&format!(
            "the stand-in listens on http://{}",
            listener.local_addr()?
        ));
        let mut signals = Signals::listen()?;
        let simulator = Simulator::remembering(self.remember);
        tokio::select! {
            served = simulator.serve(listener) => served?,
            () = signals.next() => {}
        }
        Ok(())
    }
}
