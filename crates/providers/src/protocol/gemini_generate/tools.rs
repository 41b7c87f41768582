//! Tools and which of them must be called.

use serde_json::{Map, Value, json};

use super::rules::Form;
use super::types::{CALLING_MODES, camel, camel_members, enumerated};
use super::{schema, schema_vertex};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Tool, ToolChoice, ToolKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// Tools that Google runs or defines, as `ChatGoogleGenerativeAI` knows them.
const OF_GOOGLE: [&str; 7] = [
    "google_search_retrieval",
    "google_search",
    "google_maps",
    "code_execution",
    "url_context",
    "computer_use",
    "retrieval",
];

/// The tools of a call in Gemini's words.
#[derive(Default)]
pub(super) struct Tools {
    pub(super) tools: Vec<Value>,
    pub(super) names: Vec<String>,
}

/// Writes the tools.
///
/// # Errors
/// When Gemini cannot say one.
pub(super) fn written(
    call: &ChatCall,
    form: Form,
    losses: &mut Losses,
) -> Result<Tools, InvalidCall> {
    let mut functions = Vec::new();
    let mut of_google = Vec::new();
    for (index, tool) in call.tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        if tool.cache.is_some() && call.dialect != WireFormat::OpenAiChat {
            losses.add("tools.cache_control");
        }
        match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                ..
            } => functions.push(function(
                form,
                name,
                description.as_deref(),
                parameters.as_ref().unwrap_or(&Value::Null),
                &path,
            )?),
            ToolKind::Native { declaration } if declarations(declaration).is_some() => {
                for one in declarations(declaration).into_iter().flatten() {
                    let name = one["name"].as_str().unwrap_or_default();
                    let description = one["description"].as_str();
                    functions.push(function(
                        form,
                        name,
                        description,
                        &one["parameters"],
                        &path,
                    )?);
                }
            }
            ToolKind::Native { declaration } | ToolKind::ComputerUse { declaration } => {
                of_google.extend(provider_tool(tool, declaration, form, &path, losses)?);
            }
            ToolKind::Custom { .. } => {
                return Err(invalid(&path, "takes free text, which Gemini cannot say"));
            }
        }
    }
    let name = |function: &Value| function["name"].as_str().map(str::to_owned);
    let names = functions.iter().filter_map(name).collect();
    Ok(Tools {
        tools: joined(form, functions, of_google),
        names,
    })
}

/// `ChatVertexAI` writes one tool that is all of them, the other each in its own.
fn joined(form: Form, functions: Vec<Value>, of_google: Vec<Map<String, Value>>) -> Vec<Value> {
    if form == Form::Vertexai {
        let mut all = Map::new();
        if !functions.is_empty() {
            all.insert("functionDeclarations".to_owned(), functions.into());
        }
        all.extend(of_google.into_iter().flatten());
        return if all.is_empty() {
            Vec::new()
        } else {
            vec![all.into()]
        };
    }
    let mut tools: Vec<Value> = of_google.into_iter().map(Value::Object).collect();
    if !functions.is_empty() {
        tools.push(json!({"functionDeclarations": functions}));
    }
    tools
}

/// The functions of a tool in Gemini's own shape.
fn declarations(tool: &Map<String, Value>) -> Option<&Vec<Value>> {
    let names = ["function_declarations", "functionDeclarations"];
    names.iter().find_map(|name| tool.get(*name)?.as_array())
}

fn function(
    form: Form,
    name: &str,
    description: Option<&str>,
    parameters: &Value,
    path: &str,
) -> Result<Value, InvalidCall> {
    let mut function = Map::new();
    function.insert("name".to_owned(), name.into());
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        function.insert("description".to_owned(), description.into());
    }
    let parameters = match form {
        Form::Genai => schema::parameters(parameters, path)?,
        Form::Vertexai if parameters.is_null() => Some(json!({})),
        Form::Vertexai => Some(schema_vertex::written(parameters, path)?),
    };
    if let Some(parameters) = parameters {
        function.insert("parameters".to_owned(), parameters);
    }
    Ok(Value::Object(function))
}

/// A tool that Google runs or defines, or Google's counterpart of another vendor's.
fn provider_tool(
    tool: &Tool,
    declaration: &Map<String, Value>,
    form: Form,
    path: &str,
    losses: &mut Losses,
) -> Result<Option<Map<String, Value>>, InvalidCall> {
    let own = declaration.iter().find_map(|(name, settings)| {
        let known = OF_GOOGLE
            .iter()
            .find(|known| *known == name || camel(known) == *name)?;
        (!settings.is_null()).then_some((*known, settings))
    });
    if let Some((name, settings)) = own {
        return Ok(Some(single(name, settings_of(name, settings, form))));
    }
    if matches!(tool.kind, ToolKind::ComputerUse { .. }) {
        let problem = "is another vendor's computer-use tool: Gemini's is \
                       {\"computer_use\": {\"environment\": \"ENVIRONMENT_BROWSER\"}}";
        return Err(invalid(path, problem));
    }
    let kind = declaration.get("type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    let counterpart = [
        ("web_search", "google_search"),
        ("web_fetch", "url_context"),
        ("code_execution", "code_execution"),
        ("code_interpreter", "code_execution"),
    ]
    .into_iter()
    .find(|(beginning, _)| kind.starts_with(beginning));
    match counterpart {
        Some((_, name)) => Ok(Some(single(name, json!({})))),
        None => {
            losses.add("tools.native");
            Ok(None)
        }
    }
}

fn single(name: &str, settings: Value) -> Map<String, Value> {
    let mut tool = Map::new();
    tool.insert(camel(name), settings);
    tool
}

/// The settings of a tool of Google's. The Gen AI SDK leaves most names as they are.
fn settings_of(name: &str, settings: &Value, form: Form) -> Value {
    match (form, name, settings) {
        (Form::Genai, "computer_use", settings) => settings.clone(),
        (Form::Genai, "google_search" | "google_maps", Value::Object(members)) => {
            let member = |(name, value): (&String, &Value)| (camel(name), value.clone());
            Value::Object(members.iter().map(member).collect())
        }
        _ => camel_members(settings),
    }
}

/// Which tools must be called. None where that is not said.
pub(super) fn choice(
    call: &ChatCall,
    tools: &Tools,
    form: Form,
    losses: &mut Losses,
) -> Option<Value> {
    if call.parallel_tool_calls == Some(false) {
        losses.add("parallel_tool_calls");
    }
    let choice = call.tool_choice.as_ref()?;
    if tools.tools.is_empty() || (form == Form::Genai && tools.names.is_empty()) {
        return None;
    }
    let (mode, names) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", Some(tools.names.clone())),
        ToolChoice::Named(name) => ("ANY", Some(vec![name.clone()])),
        ToolChoice::Native(value) => match required_subset(value) {
            Some(names) => ("ANY", Some(names)),
            None => {
                losses.add("tool_choice");
                return None;
            }
        },
    };
    let mut config = Map::new();
    config.insert("mode".to_owned(), enumerated(form, &CALLING_MODES, mode));
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        config.insert("allowedFunctionNames".to_owned(), names.into());
    }
    Some(json!({"functionCallingConfig": config}))
}

/// The names of OpenAI's `allowed_tools`, where one of them must be called.
fn required_subset(choice: &Value) -> Option<Vec<String>> {
    let allowed = match &choice["allowed_tools"] {
        Value::Null => choice,
        inner => inner,
    };
    if choice["type"] != "allowed_tools" || allowed["mode"] != "required" {
        return None;
    }
    let name = |tool: &Value| {
        let name = tool["function"]["name"].as_str().or(tool["name"].as_str());
        name.map(str::to_owned)
    };
    allowed["tools"].as_array()?.iter().map(name).collect()
}
