//! A record of the gateway as a row of the store.

use domain::usage::{Attempt, CallEnd};
use gateway::meter::{self, AttemptRecord};

/// The row.
pub(super) fn row(record: AttemptRecord) -> Attempt {
    let protocol = serde_json::to_value(record.protocol).ok();
    let protocol = protocol.as_ref().and_then(serde_json::Value::as_str);
    Attempt {
        call_id: record.call_id,
        number: record.attempt,
        organization_id: record.organization_id,
        api_key_id: record.api_key_id,
        request_id: record.request_id,
        run_id: record.run_id,
        role: record.role.map(|role| role.as_str().to_owned()),
        called_at: record.called_at,
        dialect: record.dialect.to_owned(),
        model_asked: record.model_asked,
        is_stream: record.is_stream,
        call: record.call.map(|call| CallEnd {
            outcome: call.outcome.way().to_owned(),
            status: call.status,
            duration: call.duration,
            time_to_first_byte: call.time_to_first_byte,
        }),
        model_configuration_id: record.model_configuration_id,
        revision: record.revision,
        provider: record.provider.to_owned(),
        protocol: protocol.unwrap_or_default().to_owned(),
        model: record.model,
        model_answered: record.model_answered,
        service_tier: record.service_tier,
        key_owner: record.key_owner.as_str().to_owned(),
        outcome: record.outcome.way().to_owned(),
        error_kind: record.outcome.error_kind().map(str::to_owned),
        status: record.status,
        started_at: record.started_at,
        duration: record.duration,
        time_to_first_byte: record.time_to_first_byte,
        tokens: record.usage.map(meter::tokens),
        cost_micros: record.cost_micros,
    }
}
