//! What tests and drills need: a scripted stand-in for providers, throw-away servers
//! and builders. `quartermaster simulate` is the stand-in behind a listener.

pub mod postgres;
