//! Runs an operation: everything that every write has in common.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use store::StoreError;
use store::idempotency::Claimed;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::extract::call::Call;
use crate::idempotency::{self, Claims};
use crate::state::ControlState;
use crate::write::context::{Preparation, WriteContext};
use crate::write::lines::Thing;
use crate::write::{Operation, Outcome};

/// How often a write begins anew when what it prepared for has changed meanwhile.
const MAXIMUM_TRIES: usize = 5;

/// Answers a request to write.
pub(crate) async fn write<O: Operation>(state: ControlState, request: Request) -> Response {
    let result = answer::<O>(&state, request).await;
    state.metrics().count_write(O::ACTION, result.is_ok());
    result.into_response()
}

async fn answer<O: Operation>(state: &ControlState, request: Request) -> Result<Answer, ApiError> {
    let call = Call::read(state, request, O::BODY, O::SCOPE).await?;
    let operation = O::read(&call)?;
    let meaning = operation.meaning(&call.caller)?;
    let Some(claims) = Claims::of(state, &call, &meaning, state.now())? else {
        return execute(state, &call, &operation, None).await;
    };
    // Held until the answer is durable.
    let turn = state.turns().take(claims.turn_key()).await;
    let Some(_turn) = turn else {
        return Err(idempotency::in_progress());
    };
    match claims.find(state).await? {
        None | Some(Claimed::First) => execute(state, &call, &operation, Some(&claims)).await,
        Some(earlier) => answer_again(state, &call, earlier).await,
    }
}

async fn execute<O: Operation>(
    state: &ControlState,
    call: &Call,
    operation: &O,
    claims: Option<&Claims>,
) -> Result<Answer, ApiError> {
    let _head = match thing(call) {
        Some(thing) => Some(state.lines().stand(thing).await),
        None => None,
    };
    for _ in 0..MAXIMUM_TRIES {
        let mut preparation = Preparation::new(state, call);
        let result = attempt(&mut preparation, operation, claims).await;
        match result {
            Ok(Attempted::Done(answer)) => return Ok(answer),
            Ok(Attempted::Before(earlier)) => {
                preparation.take_back().await;
                return answer_again(state, call, earlier).await;
            }
            Ok(Attempted::Stale) => preparation.take_back().await,
            Err(error) => {
                preparation.take_back().await;
                let earlier = done_meanwhile(state, call, claims, &error).await;
                return earlier.unwrap_or(Err(error));
            }
        }
    }
    Err(ApiError::unavailable(
        "Others keep changing the same thing; try again",
    ))
}

/// What a request writes to: the first parameter of its path. One that makes something
/// new has none.
fn thing(call: &Call) -> Option<Thing> {
    let (_, id) = call.path.iter().next()?;
    Some((call.caller.organization_id, id.clone()))
}

/// Another node may have done the same request since this one was looked up, so that now
/// it can only fail: a DELETE finds nothing, a PATCH finds a revision too new.
async fn done_meanwhile(
    state: &ControlState,
    call: &Call,
    claims: Option<&Claims>,
    error: &ApiError,
) -> Option<Result<Answer, ApiError>> {
    if !error.is_about_the_request() {
        return None;
    }
    let earlier = claims?.find(state).await.ok()??;
    Some(answer_again(state, call, earlier).await)
}

enum Attempted {
    Done(Answer),
    Stale,
    /// Another node did it first.
    Before(Claimed),
}

async fn attempt<O: Operation>(
    preparation: &mut Preparation<'_>,
    operation: &O,
    claims: Option<&Claims>,
) -> Result<Attempted, ApiError> {
    let prepared = operation.prepare(preparation).await?;
    let mut transaction = preparation.state.database().write().await?;
    if let Some(claims) = claims {
        match store::idempotency::claim(&mut transaction, claims.current()).await {
            Ok(Claimed::First) => {}
            Ok(earlier) => return Ok(Attempted::Before(earlier)),
            Err(StoreError::Busy) => return Err(idempotency::in_progress()),
            Err(error) => return Err(error.into()),
        }
    }
    let mut context = WriteContext {
        transaction: &mut transaction,
        state: preparation.state,
        call: preparation.call,
        now: preparation.now,
    };
    let Outcome::Done(done) = operation.run(prepared, &mut context).await? else {
        return Ok(Attempted::Stale);
    };
    let answer = context.conclude(O::ACTION, *done, claims).await?;
    preparation.keep();
    transaction.commit().await?;
    Ok(Attempted::Done(answer))
}

async fn answer_again(
    state: &ControlState,
    call: &Call,
    earlier: Claimed,
) -> Result<Answer, ApiError> {
    match earlier {
        Claimed::Done(stored) => {
            idempotency::replay(state, call.caller.organization_id, stored).await
        }
        Claimed::Mismatch => Err(idempotency::mismatch()),
        // A claim without an answer is never committed.
        Claimed::First => Err(ApiError::internal()),
    }
}
