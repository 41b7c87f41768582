//! Control plane HTTP.

mod body;
mod error;
