//! Translation between the canonical chat call and each wire format, and the catalog of providers.
//!
//! This crate performs no I/O: no sockets, no clock, no randomness, no environment, no SQL.
//! Requests are values that somebody else sends; answers are bytes that somebody else read.
//!
//! * [`chat`]: the hub. One canonical call, reply and event stream that every
//!   dialect (spoken by clients) and every protocol (spoken by providers) maps to and from.
//! * [`protocol`]: one folder for each wire format, each with the same five files.
//! * [`catalog`]: providers as data. A provider is a row until its wire format is new.
//! * [`target`]: a catalog row and a model configuration, resolved into where and how to call.
//! * `address`: where the calls of a target go.
//! * [`endpoint`]: which addresses a configuration may name.
//! * `routing`: whether a call goes through chat completions or the Responses API.
//! * [`rewrite`]: what a target changes at the top level of a body.
//! * [`framing`]: cutting a byte stream into messages.
//! * [`auth`]: putting a credential into a request.

mod address;
pub mod auth;
pub mod catalog;
pub mod chat;
pub mod endpoint;
pub mod error;
pub mod framing;
mod json;
pub mod parameters;
pub mod pass_through;
pub mod protocol;
pub mod rewrite;
mod routing;
pub mod slots;
mod streaming;
pub mod target;
