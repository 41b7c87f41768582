//! What surrounds every handler. `router.rs` says in which order, and why.

pub(crate) mod fastapi;
pub(crate) mod limit;
pub(crate) mod observe;
pub(crate) mod request_id;
pub(crate) mod security;
