//! Canonical parts → Gemini's parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::rules::{Form, major_version};
use super::types::{LANGUAGES, OUTCOMES, camel_members, enumerated, name_of, text_part};
use super::{media, signature};
use crate::chat::WireFormat;
use crate::chat::part::{MediaSource, Part, PartContent, Reasoning, ToolCall, ToolCallKind};
use crate::error::{InvalidCall, Losses};
use crate::json::invalid;

/// Writes parts of one call to one model.
pub(super) struct PartWriter<'a> {
    pub(super) form: Form,
    pub(super) model: &'a str,
    /// The format that the call was written in.
    pub(super) dialect: WireFormat,
}

impl PartWriter<'_> {
    /// A part other than a call of a tool or its result. None where it says nothing.
    ///
    /// # Errors
    /// When Gemini cannot say it.
    pub(super) fn part(
        &self,
        part: &Part,
        path: &str,
        losses: &mut Losses,
    ) -> Result<Option<Value>, InvalidCall> {
        if part.cache.is_some() && self.dialect != WireFormat::OpenAiChat {
            losses.add("messages.cache_control");
        }
        let written = match &part.content {
            PartContent::Text { text, .. } | PartContent::Refusal { text } => text_part(text),
            PartContent::Reasoning(reasoning) => return Ok(self.thought(part, reasoning, losses)),
            PartContent::Image { source, .. } => self.image(source, part, path)?,
            PartContent::Document { source, name } => {
                if name.is_some() && self.dialect != WireFormat::OpenAiChat {
                    losses.add("messages.document.name");
                }
                let fallback = Some("application/octet-stream");
                media::part(self.form, source, &part.extra, fallback, path)?
            }
            PartContent::Audio { source } | PartContent::Video { source } => {
                media::part(self.form, source, &part.extra, None, path)?
            }
            PartContent::Native(block) => return self.native(block, path, losses),
            PartContent::ToolCall(_) | PartContent::ToolResult(_) => return Ok(None),
        };
        Ok(Some(self.signed(written, signature::beside(&part.extra))))
    }

    /// A part with its signature.
    pub(super) fn signed(&self, mut part: Value, signature: Option<&str>) -> Value {
        if let Some(signature) = signature
            .map(signature::unmarked)
            .filter(|text| !text.is_empty())
        {
            part["thoughtSignature"] = signature.into();
        }
        part
    }

    fn image(&self, source: &MediaSource, part: &Part, path: &str) -> Result<Value, InvalidCall> {
        match source {
            // The Vertex AI SDK calls every picture a JPEG; Google looks at the picture.
            MediaSource::Base64 { media_type, data }
                if self.form == Form::Vertexai
                    && self.dialect == WireFormat::OpenAiChat
                    && media_type != "application/pdf" =>
            {
                media::inline(self.form, "image/jpeg", data, path)
            }
            _ => media::part(self.form, source, &part.extra, None, path),
        }
    }

    /// Earlier thinking. Gemini is only shown what can be its own.
    fn thought(&self, part: &Part, reasoning: &Reasoning, losses: &mut Losses) -> Option<Value> {
        let own = reasoning.signature.as_deref();
        let is_foreign = self.dialect == WireFormat::AnthropicMessages
            && !own.is_some_and(|own| signature::is_marked(own.as_bytes()));
        if reasoning.encrypted.is_some() || is_foreign {
            losses.add("messages.reasoning");
            return None;
        }
        let proof = own.or_else(|| signature::beside(&part.extra));
        if reasoning.text.is_empty() && proof.is_none() {
            return None;
        }
        let thought = json!({"text": reasoning.text, "thought": true});
        Some(match self.form {
            Form::Genai => self.signed(thought, proof),
            // `ChatVertexAI` keeps no signature of readable thinking, ours do.
            Form::Vertexai => self.signed(
                thought,
                proof.filter(|proof| signature::is_marked(proof.as_bytes())),
            ),
        })
    }

    /// A call of a tool.
    ///
    /// # Errors
    /// When its arguments are no object.
    pub(super) fn call(
        &self,
        call: &ToolCall,
        path: &str,
        signature: Option<&str>,
    ) -> Result<Value, InvalidCall> {
        if call.kind == ToolCallKind::Custom {
            return Err(invalid(
                path,
                "holds a call with free text, which Gemini cannot say",
            ));
        }
        let arguments = call.arguments.trim();
        let arguments = if arguments.is_empty() {
            "{}"
        } else {
            arguments
        };
        let arguments: Map<String, Value> = serde_json::from_str(arguments).map_err(|_| {
            let problem = format!(
                "calls `{}` with arguments that are no JSON object",
                call.name
            );
            invalid(path, &problem)
        })?;
        let written = json!({"functionCall": {"name": call.name, "args": arguments}});
        Ok(self.signed(written, signature))
    }

    /// Code that Gemini ran itself, and what came of it.
    pub(super) fn code(&self, call: &ToolCall) -> Option<Value> {
        let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
        let code = arguments["code"].as_str()?;
        let language = arguments["language"].as_str().unwrap_or("PYTHON");
        let language = enumerated(self.form, &LANGUAGES, &language.to_uppercase());
        Some(json!({"executableCode": {"language": language, "code": code}}))
    }

    pub(super) fn code_result(&self, output: &str, outcome: &str) -> Value {
        let outcome = enumerated(self.form, &OUTCOMES, outcome);
        json!({"codeExecutionResult": {"outcome": outcome, "output": output}})
    }

    /// A block of Gemini's that LangChain's messages hold.
    fn native(
        &self,
        block: &Value,
        path: &str,
        losses: &mut Losses,
    ) -> Result<Option<Value>, InvalidCall> {
        match block["type"].as_str() {
            Some("media") => self.media(block, path).map(Some),
            Some("video" | "image" | "audio") if block["url"].is_string() => {
                let source = MediaSource::Url(block["url"].as_str().unwrap_or_default().to_owned());
                let extra = block.as_object().cloned().unwrap_or_default();
                media::part(self.form, &source, &extra, None, path).map(Some)
            }
            Some("executable_code") => {
                let language = block["language"].as_str().unwrap_or("PYTHON");
                let language = enumerated(self.form, &LANGUAGES, language);
                let code = block["executable_code"].as_str().unwrap_or_default();
                Ok(Some(
                    json!({"executableCode": {"language": language, "code": code}}),
                ))
            }
            Some("code_execution_result") => {
                let outcome = name_of(&OUTCOMES, &block["outcome"]);
                let outcome = outcome.as_deref().unwrap_or("OUTCOME_OK");
                let output = block["code_execution_result"].as_str().unwrap_or_default();
                Ok(Some(self.code_result(output, outcome)))
            }
            None if block["text"].is_string() => Ok(block["text"].as_str().map(text_part)),
            // Another vendor's tools, and blocks that a list of calls repeats.
            Some(kind) if kind.contains("tool_") || kind.contains("function_call") => {
                losses.add("messages.native");
                Ok(None)
            }
            _ => Err(invalid(path, "holds a part that Gemini cannot say")),
        }
    }

    /// LangChain's block for whatever Gemini takes.
    fn media(&self, block: &Value, path: &str) -> Result<Value, InvalidCall> {
        let media_type = block["mime_type"].as_str();
        let mut part = match (block["data"].as_str(), block["file_uri"].as_str()) {
            (Some(data), _) => {
                let kind = media_type.ok_or_else(|| invalid(path, "must say its `mime_type`"))?;
                media::inline(self.form, kind, data, path)?
            }
            (None, Some(address)) => media::file(self.form, address, media_type),
            (None, None) => return Err(invalid(path, "must hold `data` or `file_uri`")),
        };
        if block["video_metadata"].is_object() {
            part["videoMetadata"] = match self.form {
                Form::Genai => block["video_metadata"].clone(),
                Form::Vertexai => camel_members(&block["video_metadata"]),
            };
        }
        let takes_resolution = major_version(self.model).is_some_and(|major| major >= 3);
        if let (Form::Genai, true, Some(level)) = (
            self.form,
            takes_resolution,
            block["media_resolution"].as_str(),
        ) {
            part["mediaResolution"] = json!({"level": level});
        }
        let signature = block["extras"]["signature"].as_str();
        Ok(self.signed(part, signature.filter(|text| STANDARD.decode(text).is_ok())))
    }
}
