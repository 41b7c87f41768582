//! What PATCH and restore share: from the row as it is to the row as it will be.

use domain::id::ModelConfigurationId;
use domain::model_configuration::{ModelConfiguration, ModelSettings};
use domain::secret::Secret;
use http::StatusCode;
use jiff::SignedDuration;
use store::changes::Change;
use vault::{Binding, Purpose};

use crate::answer::{Answer, to_value};
use crate::error::ApiError;
use crate::model_configurations::assigned::{self, AssignedRoles};
use crate::model_configurations::rules::{self, Destination, Key};
use crate::model_configurations::view::ModelConfigurationView;
use crate::model_configurations::{name_taken, not_found, require_own};
use crate::quota;
use crate::write::context::{Deposited, Preparation, WriteContext};
use crate::write::{Audited, Done, Outcome};

/// A change that has been checked against the row it was made for.
pub(crate) struct CheckedChange {
    before: ModelConfiguration,
    after: ModelConfiguration,
    deposited: Option<Deposited>,
}

/// The caller's own row, as it is now.
pub(crate) async fn own_row(
    preparation: &Preparation<'_>,
    id: ModelConfigurationId,
) -> Result<ModelConfiguration, ApiError> {
    let organization_id = preparation.call.caller.organization_id;
    let database = preparation.state.database();
    let row = store::model_configurations::get(database, organization_id, id)
        .await?
        .ok_or_else(not_found)?;
    require_own(&row)?;
    preparation.call.if_match.check(row.revision)?;
    Ok(row)
}

/// Checks what `before` is to become, and gives a new key to the vault.
pub(crate) async fn check(
    preparation: &mut Preparation<'_>,
    before: ModelConfiguration,
    settings: ModelSettings,
    key: Key<'_>,
) -> Result<CheckedChange, ApiError> {
    let key = match key {
        Key::Stored if before.api_key_alias.is_none() => Key::None,
        other => other,
    };
    let organization_id = preparation.call.caller.organization_id;
    let destination = rules::check(preparation.state, organization_id, &settings, key).await?;
    let (api_key_alias, deposited) = match key {
        Key::New(secret) => {
            let deposited = deposit(preparation, &destination, secret).await?;
            (Some(deposited.alias.clone()), Some(deposited))
        }
        Key::Stored => {
            rules::require_same_destination(&before.settings, &destination)?;
            (before.api_key_alias.clone(), None)
        }
        Key::None => (None, None),
    };
    let after = ModelConfiguration {
        revision: before.revision + 1,
        settings,
        api_key_alias,
        updated_at: preparation.now,
        ..before.clone()
    };
    Ok(CheckedChange {
        before,
        after,
        deposited,
    })
}

/// Writes a checked change, if the row still is what it was checked against.
pub(crate) async fn write(
    change: CheckedChange,
    roles: AssignedRoles,
    context: &mut WriteContext<'_>,
) -> Result<Outcome, ApiError> {
    let CheckedChange {
        before,
        after,
        deposited,
    } = change;
    let organization_id = context.call.caller.organization_id;
    let current =
        store::model_configurations::get_for_update(context.transaction, organization_id, after.id)
            .await?
            .ok_or_else(not_found)?;
    if current.revision != before.revision {
        return Ok(Outcome::Stale);
    }
    assigned::before_change(context, &before, &after, roles).await?;
    if let Some(deposited) = &deposited {
        context.keep(deposited).await?;
    }
    let updated = store::model_configurations::update(context.transaction, &after).await;
    updated.map_err(name_taken)?;
    // Whoever is above the quota, since it was lowered, may still change what he has.
    if length(&after)? > length(&before)? {
        quota::check(context).await?;
    }
    if let Some(old) = &before.api_key_alias
        && after.api_key_alias.as_ref() != Some(old)
    {
        // Calls that are under way on other nodes may still need it.
        let grace = SignedDuration::try_from(context.state.replaced_secret_grace());
        let due = context.now + grace.unwrap_or_default();
        context.destroy(old, due).await?;
    }
    let view = ModelConfigurationView::from(&after);
    Ok(Outcome::from(Done {
        answer: Answer::json(StatusCode::OK, &view)?.with_etag(after.revision),
        sealed_answer: None,
        audited: Audited {
            resource_id: after.id.to_string(),
            before: Some(to_value(&ModelConfigurationView::from(&before))?),
            after: Some(to_value(&view)?),
        },
        change: Change::Organization(organization_id),
    }))
}

/// How long the settings of a row are as they are stored, in bytes.
fn length(row: &ModelConfiguration) -> Result<usize, ApiError> {
    let text = serde_json::to_string(&row.settings).map_err(|_| ApiError::internal())?;
    Ok(text.len())
}

/// The key that comes with a request, or none.
pub(crate) fn key_of(secret: Option<&Secret>) -> Key<'_> {
    secret.map_or(Key::None, Key::New)
}

/// Gives a key to the vault under a new alias, bound to where it may be sent.
pub(crate) async fn deposit(
    preparation: &mut Preparation<'_>,
    destination: &Destination,
    key: &Secret,
) -> Result<Deposited, ApiError> {
    let binding = Binding {
        organization_id: Some(preparation.call.caller.organization_id),
        alias: preparation.new_alias(),
        version: 1,
        purpose: Purpose::ProviderApiKey,
        provider: destination.provider.to_owned(),
        allowed_origin: destination.origin.clone(),
    };
    preparation.deposit(&binding, key).await
}
