//! Changes to the top level of a request's body, which `encode` and the pass-through share.

use std::borrow::Cow;

use serde_json::Value;

use crate::target::Target;

/// What becomes of one top-level member of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch<'a> {
    /// It is set to this JSON text, whatever it was.
    Set(Cow<'a, str>),
    /// It is left out.
    Remove,
}

/// Changes to the top level of a request's body: at most one for each member.
pub type Patches<'a> = Vec<(Cow<'a, str>, Patch<'a>)>;

/// The JSON text of a top-level member that the client's body holds.
pub type Present<'p, 'a> = &'p dyn Fn(&str) -> Option<Cow<'a, str>>;

/// Gathers [`Patches`]; each protocol's `top_level` is written with it.
pub(crate) struct Rewrite<'p, 'a> {
    present: Present<'p, 'a>,
    patches: Patches<'a>,
}

impl<'p, 'a> Rewrite<'p, 'a> {
    pub(crate) fn new(present: Present<'p, 'a>) -> Self {
        let patches = Patches::with_capacity(8);
        Self { present, patches }
    }

    /// What the client wrote; null counts as nothing.
    pub(crate) fn present(&self, name: &str) -> Option<Cow<'a, str>> {
        (self.present)(name).filter(|text| text != "null")
    }

    /// Sets a member, whatever the client wrote.
    pub(crate) fn set(&mut self, name: &'a str, json: impl Into<Cow<'a, str>>) {
        self.patches.retain(|(patched, _)| patched != name);
        self.patches
            .push((Cow::Borrowed(name), Patch::Set(json.into())));
    }

    /// Sets a member that the client did not write.
    pub(crate) fn set_default(&mut self, name: &'a str, json: impl Into<Cow<'a, str>>) {
        if self.present(name).is_none() {
            self.set(name, json);
        }
    }

    /// Leaves a member out.
    pub(crate) fn remove(&mut self, name: &'a str) {
        self.patches.retain(|(patched, _)| patched != name);
        if (self.present)(name).is_some() {
            self.patches.push((Cow::Borrowed(name), Patch::Remove));
        }
    }

    /// Sets `model`, and each member of the configuration that the client did not write;
    /// leaves out the client's `models`, which is the gateway's own.
    pub(crate) fn configure(&mut self, target: &'a Target) {
        self.set("model", Value::from(target.model.as_str()).to_string());
        self.remove("models");
        for (name, json) in &target.members {
            if name == "models" {
                self.set(name, json.as_str());
            } else {
                self.set_default(name, json.as_str());
            }
        }
    }

    /// What is sent under this name as things stand.
    pub(crate) fn effective(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.patches.iter().find(|(patched, _)| patched == name) {
            Some((_, Patch::Set(json))) => Some(json.clone()),
            Some((_, Patch::Remove)) => None,
            None => self.present(name),
        }
    }

    /// Bounds the output under the target's own name for it, `name`, by what the client
    /// wrote under any of `names`, else by the configuration.
    pub(crate) fn bound_output(
        &mut self,
        names: &[&'static str],
        name: &'a str,
        configured: Option<&'a str>,
    ) {
        let written = names.iter().find_map(|known| self.present(known));
        let Some(bound) = written.or(configured.map(Cow::Borrowed)) else {
            return;
        };
        for other in names.iter().filter(|other| **other != name) {
            self.remove(other);
        }
        self.set(name, bound);
    }

    pub(crate) fn into_patches(self) -> Patches<'a> {
        self.patches
    }
}
