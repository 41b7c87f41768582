//! Sockets towards clients: accepting, limits, and an orderly end.

pub mod descriptors;
pub mod host;
pub mod listener;
pub mod panic;
mod socket;

pub use listener::{ConnectionLimits, Listener, bind};
