//! `docs/providers.md`: the catalog as a page for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::rules::{GENERAL, PARTICULAR};
use super::{AuthScheme, CredentialField, Protocol, Provider, Quirk, StreamUsage};

const HEAD: &str = "\
# Providers

Every provider that a model configuration can name, from `crates/providers/catalog/`. This
page is generated: `make generate` writes it, and a test compares it with the catalog. How to
add one: [adding a provider](adding-a-provider.md).

A parameter *lands* where its value goes: `body` is the member of the request of the same
name, `body:a.b` another one, `max_tokens` the provider's bound of the output; the members of
`merge` count as parameters themselves, those of `extra_body` go into the body as they are,
those of `headers` and `query` there, and `endpoint:a` fills `{a}` of the address. `ignored`
only concerns LangChain's own objects, and `dropped` is left out, as LangChain leaves it out:
`x-quartermaster-translation-loss` of every answer names it.

A variable of the address, such as `{region}`, is given by the parameter that lands in it.
Where none does, as for Azure's `{resource}`, the whole address is given by one of the
parameters under \"Another endpoint by\":

```json
{\"name\": \"azure\", \"provider\": \"azure_openai\", \"model\": \"gpt-5-mini\", \"api_key\": \"…\",
 \"additional_params\": {\"azure_endpoint\": \"https://my-resource.openai.azure.com\", \"api_version\": \"2024-10-21\"}}
```

A *member of the key* is what `api_key` may hold. A plain text is the first member of the
table; several are given as a JSON object, written into the one text that `api_key` is:

```json
{\"api_key\": \"{\\\"aws_access_key_id\\\": \\\"AKIA…\\\", \\\"aws_secret_access_key\\\": \\\"…\\\"}\"}
{\"api_key\": \"{\\\"azure_tenant_id\\\": \\\"…\\\", \\\"azure_client_id\\\": \\\"…\\\", \\\"azure_client_secret\\\": \\\"…\\\"}\"}
```

The first is for Amazon Bedrock, the second an application of Microsoft Entra. On the command
line: `quartermaster model create … --api-key-from file:key.json`.
";

/// The whole page, in Markdown.
#[must_use]
pub fn render(providers: &[Provider]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Rules for all\n\nWhere we mean something else than LangChain:\n\n");
    for rule in GENERAL {
        line(&mut page, &format!("- **{}**: {}", rule.name, rule.text));
    }
    page.push_str(
        "\n## Overview\n\n| provider | name | protocol | can |\n| --- | --- | --- | --- |\n",
    );
    for provider in providers {
        let can: Vec<&str> = provider
            .capabilities()
            .iter()
            .map(|it| it.as_str())
            .collect();
        line(
            &mut page,
            &format!(
                "| [`{name}`](#{name}) | {} | {} | {} |",
                provider.display_name,
                provider.protocol.as_str(),
                can.join(", "),
                name = provider.name,
            ),
        );
    }
    for provider in providers {
        section(&mut page, provider);
    }
    page
}

fn section(page: &mut String, provider: &Provider) {
    line(page, &format!("\n## {}\n", provider.name));
    let docs = &provider.documentation_url;
    let verified = &provider.verified_on;
    line(
        page,
        &format!(
            "{}. [Documentation]({docs}), last checked on {verified}.\n",
            provider.display_name
        ),
    );
    facts(page, provider);
    credential(page, &provider.credential_fields);
    quirks(page, &provider.openai_chat.quirks);
    rules(page, provider);
    parameters(page, provider);
}

fn facts(page: &mut String, provider: &Provider) {
    let mut fact = |name: &str, text: &str| {
        if !text.is_empty() {
            line(page, &format!("- {name}: {text}"));
        }
    };
    fact("Protocol", &code(provider.protocol.as_str()));
    fact(
        "Calls go to",
        &code(&format!(
            "{}{}",
            provider.base_url,
            provider.call_path(provider.protocol)
        )),
    );
    for case in &provider.base_url_cases {
        let path = case
            .call_path
            .as_deref()
            .unwrap_or(provider.call_path(provider.protocol));
        let values: Vec<String> = case.values.iter().map(|value| code(value)).collect();
        let to = code(&format!("{}{path}", case.base_url));
        fact(
            &format!("For `{}` {}", case.variable, values.join(", ")),
            &to,
        );
    }
    fact("Another endpoint by", &list(&provider.endpoint_parameters));
    for variable in &provider.endpoint_variables {
        let default = variable.default.as_deref();
        let default = default.map_or("must be given".to_owned(), |text| {
            format!("{} unless given", code(text))
        });
        let example = code(&variable.example);
        fact(
            &format!("`{{{}}}`", variable.name),
            &format!("{default}; for example {example}"),
        );
    }
    for route in &provider.model_routes {
        fact(
            &format!("Models `{}…`", route.prefix),
            &format!("run by [`{0}`](#{0})", route.provider),
        );
    }
    fact("Key", auth_words(provider));
    fact("Sent where nobody says otherwise", &defaults(provider));
    let can: Vec<String> = provider
        .capabilities()
        .iter()
        .map(|it| code(it.as_str()))
        .collect();
    fact("Can", &can.join(", "));
}

fn credential(page: &mut String, fields: &[CredentialField]) {
    if fields.is_empty() {
        return;
    }
    page.push_str("\n| member of the key | what it is | secret |\n| --- | --- | --- |\n");
    for field in fields {
        let secret = if field.is_secret { "yes" } else { "no" };
        line(
            page,
            &format!("| `{}` | {} | {secret} |", field.name, field.label),
        );
    }
}

fn quirks(page: &mut String, quirks: &[Quirk]) {
    if quirks.is_empty() {
        return;
    }
    page.push_str("\nDeviations:\n\n");
    for quirk in quirks {
        line(page, &format!("- {}", quirk.text()));
    }
}

fn rules(page: &mut String, provider: &Provider) {
    page.push_str("\nOther than LangChain:\n\n");
    for rule in PARTICULAR.iter().filter(|rule| rule.applies_to(provider)) {
        line(page, &format!("- **{}**: {}", rule.name, rule.text));
    }
}

fn parameters(page: &mut String, provider: &Provider) {
    if provider.parameters.is_empty() {
        return;
    }
    page.push_str("\n| parameter | type | lands | what it is for |\n| --- | --- | --- | --- |\n");
    for parameter in &provider.parameters {
        line(
            page,
            &format!(
                "| `{}` | {} | `{}` | {} |",
                parameter.name, parameter.r#type, parameter.lands, parameter.description
            ),
        );
    }
}

const fn auth_words(provider: &Provider) -> &'static str {
    match (provider.auth, provider.key_is_optional) {
        (AuthScheme::None, _) => "none",
        (AuthScheme::Bearer, false) => "`Authorization: Bearer …`",
        (AuthScheme::Bearer, true) => "`Authorization: Bearer …`, if there is one",
        (AuthScheme::XApiKey, _) => "`x-api-key: …`",
        (AuthScheme::ApiKey, _) => "`api-key: …`",
        (AuthScheme::XGoogApiKey, _) => "`x-goog-api-key: …`",
        (AuthScheme::AwsSigv4, _) => "a signature of AWS, version 4",
    }
}

/// What LangChain sends where nobody gave it.
fn defaults(provider: &Provider) -> String {
    let rules = &provider.openai_chat;
    let member = |(name, value): (&String, &Value)| code(&format!("{name}: {value}"));
    let mut all: Vec<String> = rules.defaults.iter().map(member).collect();
    if provider.protocol == Protocol::OpenaiChat && rules.stream_usage != StreamUsage::Never {
        all.push(code("stream_options: {\"include_usage\": true}") + " with streams");
    }
    all.join(", ")
}

impl Provider {
    /// Members that are sent where neither a request nor the configuration says otherwise.
    #[must_use]
    pub const fn defaults(&self) -> &Map<String, Value> {
        &self.openai_chat.defaults
    }
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| code(name)).collect();
    names.join(", ")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn line(page: &mut String, text: &str) {
    let _ = writeln!(page, "{text}");
}
