//! Addresses of rows that are made up here.

use serde_json::{Value, json};

use super::*;
use crate::target::tests::settings;

const CLOUD: &str = r#"
name = "cloud"
display_name = "Cloud"
protocol = "openai_chat"
base_url = "https://{location}-models.example.com/v1/projects/{project}"
call_path = "/models/{model}:run"
stream_path = "/models/{+model}:stream"
query = { version = "{version}", fixed = "1" }
endpoint_parameters = ["base_url", "resource_url"]
endpoint_suffixes = { resource_url = "/openai" }
origins = ["https://eu.example.com"]
auth = "bearer"
documentation_url = "https://example.com"
verified_on = "2026-11-22"

[[base_url_cases]]
variable = "location"
values = ["global", "cn-*"]
base_url = "https://models.example.com/v2/projects/{project}"

[[endpoint_variables]]
name = "location"
default = "us-1"
pattern = "[a-z]+(-[0-9]+)?"
example = "us-1"

[[endpoint_variables]]
name = "project"
pattern = "[a-z0-9:.-]+"
example = "my-project"
credential_field = "project_id"

[[endpoint_variables]]
name = "version"
default = "7"
pattern = ".*"
example = "7"

[[parameters]]
name = "location"
type = "string"
lands = "endpoint:location"

[[parameters]]
name = "region"
type = "string"
lands = "endpoint:location"

[[parameters]]
name = "project"
type = "string"
lands = "endpoint:project"

[[parameters]]
name = "version"
type = "string"
lands = "query:version"
"#;

const RESOURCE: &str = r#"
name = "resource"
display_name = "Resource"
protocol = "openai_chat"
base_url = "https://{resource}.example.com/openai"
call_prefix = "/deployments/{deployment}"
endpoint_parameters = ["base_url"]
auth = "bearer"
documentation_url = "https://example.com"
verified_on = "2026-11-22"

[[endpoint_variables]]
name = "resource"
pattern = "[a-z0-9-]+"
example = "acme"
names = "customer"

[[endpoint_variables]]
name = "deployment"
default = "{model}"
pattern = "[A-Za-z0-9._-]+"
example = "gpt"

[[parameters]]
name = "resource"
type = "string"
lands = "endpoint:resource"

[[parameters]]
name = "deployment"
type = "string"
lands = "endpoint:deployment"
"#;

fn resolve(row: &str, parameters: &Value) -> Result<Address, InvalidCall> {
    let provider: Provider = toml::from_str(row).unwrap();
    let settings = settings(&json!({"model": "a/b:0@1", "additional_params": parameters}));
    let resolution = Resolution::of(&provider, &settings);
    assert!(resolution.errors.is_empty(), "{:?}", resolution.errors);
    Address::resolve(&provider, provider.protocol, &settings.model, &resolution)
}

fn call(row: &str, parameters: &Value) -> String {
    resolve(row, parameters).unwrap().call.to_string()
}

#[test]
fn templates_are_filled_from_parameters_defaults_and_model() {
    let address = resolve(CLOUD, &json!({"project": "p:1"})).unwrap();
    let base = "https://us-1-models.example.com/v1/projects/p%3A1/models";
    assert_eq!(
        address.call.to_string(),
        format!("{base}/a%2Fb%3A0%401:run?fixed=1&version=7")
    );
    assert_eq!(
        address.stream.to_string(),
        format!("{base}/a/b:0@1:stream?fixed=1&version=7")
    );
    assert_eq!(address.origin.as_str(), "https://us-1-models.example.com");
    assert!(address.is_catalog_origin);
    let said = json!({"region": "de-2", "project": "p", "version": "a b&c"});
    let expected = "https://de-2-models.example.com/v1/projects/p/models/a%2Fb%3A0%401:run\
                    ?fixed=1&version=a+b%26c";
    assert_eq!(call(CLOUD, &said), expected);
}

#[test]
fn some_values_have_another_address() {
    for location in ["global", "cn-1"] {
        let address = resolve(CLOUD, &json!({"location": location, "project": "p"})).unwrap();
        assert_eq!(address.origin.as_str(), "https://models.example.com");
        assert!(address.call.path().starts_with("/v2/projects/p/models/"));
        assert!(address.is_catalog_origin);
    }
}

#[test]
fn no_value_leads_to_another_host() {
    for location in [
        "",
        "evil.com/",
        "a.b",
        "a/",
        "a@b",
        "a:1",
        "A",
        "-a",
        "a-",
        "é",
        "a#",
        "a?",
        "a\\",
        "..",
        "a\n",
        "%61",
        "{project}",
        "evil.com#",
    ] {
        let parameters = json!({"location": location, "project": "p"});
        let error = resolve(CLOUD, &parameters).unwrap_err();
        assert_eq!(
            error.parameter.as_deref(),
            Some("additional_params.location"),
            "{location}"
        );
    }
    assert!(resolve(CLOUD, &json!({"location": 7, "project": "p"})).is_err());
    for project in ["a/b", "..", ".", "a?b", "a#b", "(project)", "a%2fb"] {
        assert!(
            resolve(CLOUD, &json!({"project": project})).is_err(),
            "{project}"
        );
    }
}

#[test]
fn what_only_the_credential_knows_waits_for_it() {
    let address = resolve(CLOUD, &json!({})).unwrap();
    assert!(address.call.path().starts_with("/v1/projects/(project)/"));
    assert_eq!(address.from_credential.len(), 1);
    assert_eq!(address.from_credential[0].field, "project_id");
    assert!(address.from_credential[0].missing().contains("`project`"));
}

#[test]
fn an_endpoint_of_its_own_is_not_the_catalogs() {
    let own = |name: &str, url: &str| {
        let parameters = json!({name: url, "project": "p"});
        let address = resolve(CLOUD, &parameters).unwrap();
        (address.call.path().to_owned(), address.is_catalog_origin)
    };
    let path = |base: &str| format!("{base}/models/a%2Fb%3A0%401:run");
    let gateway = "https://gw.example.com/x/";
    assert_eq!(own("base_url", gateway), (path("/x"), false));
    assert_eq!(own("resource_url", gateway), (path("/x/openai"), false));
    for same in [
        "https://US-1-models.example.com:443",
        "https://eu.example.com",
    ] {
        assert_eq!(own("base_url", same), (path(""), true), "{same}");
    }
    let other_region = "https://us-2-models.example.com";
    assert!(!own("base_url", other_region).1);
}

#[test]
fn a_host_that_a_customer_names_is_that_customers() {
    let address = resolve(RESOURCE, &json!({"resource": "acme"})).unwrap();
    assert_eq!(address.origin.as_str(), "https://acme.example.com");
    assert!(!address.is_catalog_origin);
    let same = resolve(
        RESOURCE,
        &json!({"resource": "acme", "base_url": "https://acme.example.com"}),
    );
    assert!(!same.unwrap().is_catalog_origin);
    let error = resolve(RESOURCE, &json!({})).unwrap_err();
    assert!(error.message.contains("resource"), "{error}");
}

#[test]
fn a_prefix_is_left_out_where_the_endpoint_has_it() {
    let path = |parameters: &Value| {
        resolve(RESOURCE, parameters)
            .unwrap()
            .call
            .path()
            .to_owned()
    };
    assert_eq!(
        path(&json!({"resource": "acme"})),
        "/openai/deployments/a%2Fb%3A0%401/chat/completions"
    );
    let own = json!({"base_url": "https://acme.example.com/deployments/d1"});
    assert_eq!(path(&own), "/deployments/d1/chat/completions");
    let own = json!({"base_url": "https://acme.example.com/v1/", "deployment": "d2"});
    assert_eq!(path(&own), "/v1/deployments/d2/chat/completions");
}
