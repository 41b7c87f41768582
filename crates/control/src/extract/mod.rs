//! What a request says: who calls, which path, which query, which conditions.

pub(crate) mod call;
pub(crate) mod caller;
pub(crate) mod if_match;
pub(crate) mod path;
