//! The data plane: one inference call from start to finish, on an immutable snapshot.
//!
//! The folders are the stages of a call, in order, and [`serve`] is the function
//! that names them:
//!
//! * [`ingress`]: routes, request bodies, answers in the client's dialect.
//! * `authenticate`: which caller an API key belongs to.
//! * [`snapshot`]: what may be called, as it stands now; replaced whole, never changed.
//! * `resolve`: the plan, an ordered list of targets for one call.
//! * [`limit`]: bounds on time and size.
//! * `attempt`: tries, retries and fallbacks, and the circuit breakers that skip targets.
//! * `tokens`: access tokens that credentials are exchanged for.
//! * [`upstream`]: the one owner of outbound sockets, with its egress guard.
//! * `stream`: a provider's stream, forwarded as it comes.
//! * [`meter`]: what every call and attempt took; [`trace`]: when each part of it was.
//!
//! This crate never sees the database, the vault's storage or the control plane.
//! On the way of a call there is no SQL, no lock held across an await, and no task
//! that outlives the call: dropping the call's future closes its upstream connection.

mod attempt;
mod authenticate;
pub mod check;
mod error;
mod gateway;
pub mod ingress;
pub mod limit;
pub mod meter;
pub mod metrics;
mod resolve;
mod scrub;
pub mod secrets;
mod serve;
pub mod snapshot;
mod stream;
mod tokens;
pub mod trace;
pub mod upstream;

pub use attempt::CircuitBreakers;
pub use authenticate::KeyDigest;
pub use gateway::{Dependencies, Gateway, Settings};
pub use ingress::router;
pub use stream::StreamCommit;
