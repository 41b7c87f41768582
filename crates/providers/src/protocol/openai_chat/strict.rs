//! Providers that hold a model to a schema only at an address of their own.

use http::Uri;
use serde_json::Value;

use crate::catalog::{Protocol, Provider};
use crate::rewrite::Present;
use crate::target::Target;

/// Where calls go that want an answer of a strict schema. None where the provider has no
/// such address, and where the configuration's own endpoint has taken the row's place.
pub(crate) fn uri(provider: &Provider, protocol: Protocol, call: &Uri) -> Option<Uri> {
    let base = provider.openai_chat.strict_base_url.as_ref()?;
    let path = provider.call_path(protocol);
    let is_rows_own = *call == *format!("{}{path}", provider.base_url);
    if protocol != Protocol::OpenaiChat || !is_rows_own {
        return None;
    }
    Uri::try_from(format!("{base}{path}")).ok()
}

/// That address, if the call with this body goes there: its only tool is strict and must
/// be called. Tools that the model may choose from stay where they are, as LangChain
/// leaves them, whatever they say of themselves.
pub(crate) fn address<'t, 'a>(target: &'t Target, present: Present<'_, 'a>) -> Option<&'t Uri> {
    let uri = target.strict_uri.as_ref()?;
    let value = |name| serde_json::from_str::<Value>(&present(name)?).ok();
    let tools = value("tools")?;
    let [tool] = tools.as_array()?.as_slice() else {
        return None;
    };
    let is_forced = value("tool_choice")?["function"]["name"] == tool["function"]["name"];
    (is_forced && tool["function"]["strict"] == true).then_some(uri)
}
