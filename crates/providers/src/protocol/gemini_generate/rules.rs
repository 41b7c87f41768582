//! What differs between the two ways in which LangChain writes requests to Gemini.

use serde::{Deserialize, Serialize};

/// The part of a catalog row that the protocol reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeminiGenerateRules {
    /// How requests are written.
    pub form: Form,
}

/// How requests are written. Google reads both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As Google's Gen AI SDK under `ChatGoogleGenerativeAI`: enumerations by name, schemas
    /// cut down to what is certain to be accepted, defaults for temperature and safety.
    #[default]
    Genai,
    /// As the Vertex AI SDK under `ChatVertexAI`: enumerations by number, no defaults, one
    /// turn where several of one role follow each other.
    Vertexai,
}

/// The major version in a model's name, such as 3 in `gemini-3-pro-preview`.
pub(super) fn major_version(model: &str) -> Option<u32> {
    let name = bare_name(model);
    let (_, rest) = name.split_once("gemini-")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Whether the model must be shown its thought signatures again.
pub(super) fn demands_signatures(model: &str) -> bool {
    major_version(model).is_some_and(|major| major >= 3)
}

/// Whether the model samples as it likes, and does not continue a turn of its own.
pub(super) fn is_fixed(model: &str) -> bool {
    const FIXED: [&str; 2] = ["gemini-3.5-flash-lite", "gemini-3.6-flash"];
    let name = bare_name(model);
    let is_revision = |tail: &str| {
        tail.is_empty()
            || (tail.len() == 4
                && tail.starts_with('-')
                && tail[1..].bytes().all(|byte| byte.is_ascii_digit()))
    };
    FIXED
        .iter()
        .any(|fixed| name.strip_prefix(fixed).is_some_and(is_revision))
}

/// The name without what it is filed under, in lower case.
fn bare_name(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.to_ascii_lowercase()
}

/// What stands for the model in the path of a call.
#[must_use]
pub(crate) fn path_name(form: Form, model: &str) -> String {
    match form {
        Form::Genai if model.starts_with("models/") || model.starts_with("tunedModels/") => {
            model.to_owned()
        }
        Form::Genai => format!("models/{model}"),
        Form::Vertexai => {
            let name = model.strip_prefix("models/").unwrap_or(model);
            let name = name.strip_prefix("publishers/google/models/");
            name.unwrap_or(model.strip_prefix("models/").unwrap_or(model))
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_says_its_version() {
        let cases = [
            ("gemini-2.5-flash", Some(2)),
            ("models/gemini-3-pro-preview", Some(3)),
            ("Gemini-10", Some(10)),
            ("gemma-3-27b-it", None),
            ("gemini-pro", None),
        ];
        for (model, major) in cases {
            assert_eq!(major_version(model), major, "{model}");
        }
        assert!(is_fixed("gemini-3.5-flash-lite-001") && is_fixed("models/gemini-3.6-flash"));
        assert!(!is_fixed("gemini-3.5-flash") && !is_fixed("gemini-3.6-flash-image"));
    }

    #[test]
    fn a_path_names_the_model_once() {
        assert_eq!(path_name(Form::Genai, "a"), "models/a");
        assert_eq!(path_name(Form::Genai, "models/a"), "models/a");
        assert_eq!(path_name(Form::Genai, "tunedModels/a"), "tunedModels/a");
        assert_eq!(path_name(Form::Vertexai, "models/a"), "a");
        assert_eq!(path_name(Form::Vertexai, "publishers/google/models/a"), "a");
    }
}
