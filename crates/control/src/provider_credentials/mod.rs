//! `/v1/provider-credentials`: the keys that an organisation brings for all its
//! configurations. Cyberdesk's four slots, and one for every other provider of the catalog.

pub(crate) mod body;
pub(crate) mod delete;
pub(crate) mod given;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod validate;
pub(crate) mod view;

use providers::slots::{self, Slot};

use crate::error::{ApiError, FieldError, Location};
use crate::extract::path::{PathParameters, none_of};

/// The slot in the path. The refusal names Cyberdesk's four, as its API does.
pub(crate) fn slot_in(path: &PathParameters) -> Result<&'static Slot, FieldError> {
    let text = path.text("slot");
    slots::slot(text).ok_or_else(|| {
        let known: Vec<&str> = slots::slots()
            .iter()
            .filter(|slot| slot.is_cyberdesks())
            .map(|slot| slot.name)
            .collect();
        let loc = vec![Location::name("path"), Location::name("slot")];
        none_of(loc, &known).with_input(text)
    })
}

/// A slot that the organisation has given nothing, or from which it has taken it.
pub(crate) fn no_credential() -> ApiError {
    ApiError::not_found("The slot has no credential of your organization")
}
