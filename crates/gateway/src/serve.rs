//! The whole data plane, in one function.

use std::sync::Arc;

use axum::body::Body;
use http::request::Parts;
use http::{Request, Response};
use providers::chat::WireFormat;

use crate::attempt::{Answer, Call, attempt};
use crate::authenticate::authenticate;
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::ingress::{answer, body};
use crate::limit::admit;
use crate::meter::CallMeter;
use crate::resolve::resolve;

/// Serves one inference call.
pub(crate) async fn serve(
    gateway: &Arc<Gateway>,
    dialect: WireFormat,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut meter = CallMeter::begin(gateway, dialect, &parts.headers);
    match call(gateway, dialect, &parts, body, &mut meter).await {
        Ok(answer) => answer::success(dialect, answer, meter),
        Err(error) => answer::failure(dialect, error, meter),
    }
}

/// The stages of a call, in order. Behind `attempt` lie `upstream`, which sends, and
/// `stream`, which forwards; `answer` and `meter` take what comes back.
async fn call(
    gateway: &Gateway,
    dialect: WireFormat,
    parts: &Parts,
    body: Body,
    meter: &mut CallMeter,
) -> Result<Answer, CallError> {
    let snapshot = gateway.snapshot.load_full();
    let caller = authenticate(gateway, &snapshot, parts)?;
    let headers = &parts.headers;
    meter.caller_is(&caller);
    meter.stage_ends("authenticate");
    let (body, _room) = body::read(headers, body, &gateway.limits, &gateway.body_room).await?;
    let envelope = body::scan(dialect, body)?;
    meter.request_is(&envelope);
    meter.stage_ends("ingress");
    let plan = resolve(&snapshot, &caller, &envelope, headers, gateway.limits.call)?;
    meter.role_is(plan.role);
    meter.stage_ends("resolve");
    let call = Call::new(envelope, headers, gateway)?;
    meter.admitted(admit(gateway, &snapshot, &caller, &call, &plan)?);
    meter.stage_ends("limit");
    attempt(gateway, &call, caller.organization_id, &plan, meter).await
}
