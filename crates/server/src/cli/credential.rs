//! `quartermaster credential`: the keys that an organisation brings for all its
//! configurations.

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::model::api::{Api, ServerArguments};
use super::model::text;
use super::output::{self, Format};
use super::secret_place;

const PATH: &str = "/v1/provider-credentials";

/// Bring the organization's own provider credentials
///
/// A call is paid for with the configuration's own key; else with the organization's
/// credential for the provider, kept in a slot; else with the operator's key, where one is
/// lent. Once a slot has been given a credential, the operator's key is never used for it
/// again: without a valid credential its calls fail.
#[derive(Debug, Args)]
#[command(after_help = "\
A secret is never an argument, since every user of a machine sees the arguments of its
processes. It comes from `env:NAME`, `file:PATH` or `-` for standard input.

Examples:
  quartermaster credential list
  quartermaster credential set anthropic --from env:ANTHROPIC_API_KEY
  quartermaster credential set google --from file:service-account.json
  quartermaster credential set aws_bedrock --aws-region us-east-1 \\
      --aws-access-key-id-from env:AWS_ACCESS_KEY_ID \\
      --aws-secret-access-key-from env:AWS_SECRET_ACCESS_KEY
  quartermaster credential validate anthropic
  quartermaster credential remove anthropic")]
pub(super) struct Credential {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the slots and what is in them; never a secret
    List(List),
    /// Give a slot a credential, or another one
    Set(Set),
    /// Destroy a slot's credential; its calls fail until it is given another
    Remove(Remove),
    /// Try a credential with minimal live calls; exit code 1 where one fails
    Validate(Validate),
}

#[derive(Debug, Args)]
struct List {
    /// The slots of all providers, not only the first four and those in use
    #[arg(long)]
    all: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Args)]
struct Set {
    /// anthropic, openai, google, aws_bedrock, or another provider's name
    slot: String,
    /// Where the key is: `env:NAME`, `file:PATH` or `-`. For google, the key file of a
    /// service account; for aws_bedrock, a Bedrock API key
    #[arg(
        long,
        value_name = "PLACE",
        required_unless_present = "aws_access_key_id_from"
    )]
    from: Option<String>,
    /// For aws_bedrock with IAM: where the access key's id is
    #[arg(
        long,
        value_name = "PLACE",
        requires = "aws_secret_access_key_from",
        conflicts_with = "from"
    )]
    aws_access_key_id_from: Option<String>,
    /// For aws_bedrock with IAM: where the secret access key is
    #[arg(long, value_name = "PLACE", requires = "aws_access_key_id_from")]
    aws_secret_access_key_from: Option<String>,
    /// For aws_bedrock: where configurations go that name no region
    #[arg(long, value_name = "REGION")]
    aws_region: Option<String>,
}

#[derive(Debug, Args)]
struct Remove {
    /// Which slot
    slot: String,
}

#[derive(Debug, Args)]
struct Validate {
    /// Which slot
    slot: String,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Credential {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let api = Api::new(&self.server)?;
        match self.command {
            Command::List(command) => command.run(&api).await,
            Command::Set(command) => command.run(&api).await,
            Command::Remove(command) => {
                let view = api.delete(&path(&command.slot)).await?;
                let slot = text(&view["slot"]);
                output::explain(&format!(
                    "the credential of {slot} is destroyed; its calls fail until it is given another"
                ));
                Ok(())
            }
            Command::Validate(command) => command.run(&api).await,
        }
    }
}

impl List {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let mut slots = match api.get(&format!("{PATH}?include=all")).await? {
            Value::Array(slots) => slots,
            _ => bail!("the answer is no list"),
        };
        if !self.all {
            let first = api.get(PATH).await?;
            let first = first.as_array().context("the answer is no list")?;
            slots.retain(|slot| {
                let is_used = !slot["status"].is_null();
                is_used || first.iter().any(|it| it["slot"] == slot["slot"])
            });
        }
        if self.output == Format::Json {
            return Ok(output::json(&Value::Array(slots))?);
        }
        let rows: Vec<Vec<String>> = slots.iter().map(cells).collect();
        let headings = ["slot", "status", "paid by", "credential", "last error"];
        Ok(output::table(&headings, &rows)?)
    }
}

fn cells(slot: &Value) -> Vec<String> {
    let paid_by = match slot["source"].as_str() {
        Some("organization") => "organization",
        _ => "operator, if at all",
    };
    vec![
        text(&slot["slot"]),
        text(&slot["status"]),
        paid_by.to_owned(),
        shown(&slot["display_metadata"]),
        text(&slot["last_error"]),
    ]
}

/// What may be seen of a credential, in a few words.
fn shown(metadata: &Value) -> String {
    let parts = [
        ("key_last4", "key …"),
        ("access_key_id_last4", "access key …"),
        ("client_email", ""),
        ("project_id", "project "),
        ("aws_region", "in "),
    ];
    let parts = parts.iter().filter_map(|(member, prefix)| {
        let value = metadata[*member].as_str()?;
        Some(format!("{prefix}{value}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

impl Set {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let body = Value::Object(self.body(secret_place::read)?);
        let view = api.put(&path(&self.slot), &body).await?;
        let slot = text(&view["slot"]);
        output::explain(&format!(
            "{slot} has a credential ({}); try it: quartermaster credential validate {slot}",
            shown(&view["display_metadata"])
        ));
        Ok(())
    }

    fn body(
        &self,
        read: impl Fn(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<Map<String, Value>> {
        let key_member = match self.slot.as_str() {
            "google" => "service_account_json",
            _ => "api_key",
        };
        let places = [
            (key_member, &self.from),
            ("aws_access_key_id", &self.aws_access_key_id_from),
            ("aws_secret_access_key", &self.aws_secret_access_key_from),
        ];
        let from_input = places
            .iter()
            .filter(|(_, place)| place.as_deref() == Some("-"));
        ensure!(
            from_input.count() < 2,
            "only one secret can be on standard input"
        );
        let mut body = Map::new();
        for (member, place) in places {
            if let Some(place) = place {
                body.insert(member.to_owned(), json!(read(place)?));
            }
        }
        if let Some(region) = &self.aws_region {
            body.insert("aws_region".to_owned(), json!(region));
        }
        Ok(body)
    }
}

impl Validate {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        let path = format!("{}/validate", path(&self.slot));
        let result = api.post_nothing(&path).await?;
        if self.output == Format::Json {
            output::json(&result)?;
        } else {
            let checks = result["checks"]
                .as_array()
                .context("the answer has no checks")?;
            let rows = checks.iter().map(|check| {
                let verdict = match (check["ok"] == true, check["is_auth_error"] == true) {
                    (true, _) => "ok",
                    (false, true) => "refused",
                    (false, false) => "failed",
                };
                let members = ["model", "location", "latency_ms", "error"];
                let cells = members.iter().map(|member| text(&check[*member]));
                std::iter::once(verdict.to_owned()).chain(cells).collect()
            });
            let headings = ["result", "model", "location", "ms", "error"];
            output::table(&headings, &rows.collect::<Vec<Vec<String>>>())?;
        }
        let status = text(&result["credential"]["status"]);
        ensure!(
            result["ok"] == true,
            "{} is {status}: not every call went well",
            self.slot
        );
        output::explain(&format!("{} is {status}", self.slot));
        Ok(())
    }
}

/// A slot's name goes into the path as it is: what is none is refused by the server.
fn path(slot: &str) -> String {
    let slot: String = url::form_urlencoded::byte_serialize(slot.as_bytes()).collect();
    format!("{PATH}/{slot}")
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches, Subcommand};

    use super::*;

    fn set(arguments: &[&str]) -> Result<Set, clap::Error> {
        let command = Command::augment_subcommands(clap::Command::new("credential"));
        let given = ["credential", "set"].iter().chain(arguments);
        let matches = command.try_get_matches_from(given)?;
        match Command::from_arg_matches(&matches)? {
            Command::Set(set) => Ok(set),
            other => panic!("{other:?}"),
        }
    }

    fn body(arguments: &[&str]) -> anyhow::Result<Value> {
        let read = |place: &str| Ok(format!("what is at {place}"));
        Ok(Value::Object(set(arguments)?.body(read)?))
    }

    #[test]
    fn each_slot_is_given_what_it_takes() {
        let key = body(&["anthropic", "--from", "env:A"]).unwrap();
        assert_eq!(key, json!({"api_key": "what is at env:A"}));
        let account = body(&["google", "--from", "file:g.json"]).unwrap();
        assert_eq!(
            account,
            json!({"service_account_json": "what is at file:g.json"})
        );
        let iam = [
            "aws_bedrock",
            "--aws-access-key-id-from=env:I",
            "--aws-secret-access-key-from=-",
            "--aws-region=us-east-1",
        ];
        let expected = json!({
            "aws_access_key_id": "what is at env:I",
            "aws_secret_access_key": "what is at -",
            "aws_region": "us-east-1",
        });
        assert_eq!(body(&iam).unwrap(), expected);
    }

    #[test]
    fn half_a_credential_or_two_are_refused() {
        for arguments in [
            ["openai"].as_slice(),
            &["aws_bedrock", "--aws-access-key-id-from=env:I"],
            &["aws_bedrock", "--aws-secret-access-key-from=env:I"],
            &[
                "aws_bedrock",
                "--aws-access-key-id-from=-",
                "--aws-secret-access-key-from=-",
            ],
            &[
                "aws_bedrock",
                "--from=env:K",
                "--aws-access-key-id-from=env:I",
                "--aws-secret-access-key-from=env:S",
            ],
        ] {
            assert!(body(arguments).is_err(), "{arguments:?}");
        }
    }
}
