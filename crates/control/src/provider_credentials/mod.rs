//! `/v1/provider-credentials`: the keys that an organisation brings for all its
//! configurations. Cyberdesk's four slots, and one for every other provider of the catalog.

pub(crate) mod body;
pub(crate) mod delete;
pub(crate) mod given;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod validate;
pub(crate) mod view;

use providers::catalog;
use providers::slots::{self, Slot};

use crate::error::{ApiError, FieldError, Location};
use crate::extract::path::{PathParameters, none_of};

/// How alike two names are, of at most 1, where one may be meant by the other.
const ALIKE: f64 = 0.85;

/// The slot in the path. The refusal names Cyberdesk's four, as its API does, and what was
/// probably meant.
pub(crate) fn slot_in(path: &PathParameters) -> Result<&'static Slot, FieldError> {
    let text = path.text("slot");
    slots::slot(text).ok_or_else(|| {
        let known: Vec<&str> = slots::slots()
            .iter()
            .filter(|slot| slot.is_cyberdesks())
            .map(|slot| slot.name)
            .collect();
        let loc = vec![Location::name("path"), Location::name("slot")];
        let fault = none_of(loc, &known).with_input(text);
        match hint(text) {
            Some(hint) => fault.with_hint(&hint),
            None => fault,
        }
    })
}

fn hint(text: &str) -> Option<String> {
    if let Some(slot) = slots::covering(text) {
        return Some(format!("{text} belongs to the slot {}", slot.name));
    }
    if catalog::provider(text).is_some() {
        return Some(format!(
            "{text} has no slot: what it needs belongs to each configuration"
        ));
    }
    let alike = slots::slots().iter().map(|slot| {
        let similarity = strsim::jaro_winkler(text, slot.name);
        (similarity, slot.name)
    });
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    let (_, name) = nearest.filter(|(similarity, _)| *similarity >= ALIKE)?;
    Some(format!("did you mean {name}?"))
}

/// A slot that the organisation has given nothing, or from which it has taken it.
pub(crate) fn no_credential() -> ApiError {
    ApiError::not_found("The slot has no credential of your organization")
}
