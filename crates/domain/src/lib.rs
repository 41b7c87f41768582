//! The nouns of Quartermaster and the rules that hold wherever they are used.
//!
//! This crate knows no runtime, no HTTP and no SQL. Time and randomness come in
//! as arguments, so that every rule here can be tested exactly.

pub mod agent_role;
pub mod api_key;
pub mod audit;
pub mod budget;
pub mod clock;
pub mod id;
pub mod model_configuration;
pub mod organization;
pub mod price;
pub mod provider_credential;
pub mod rate_limits;
pub mod secret;
pub mod usage;
pub mod validation;
pub mod wrong_keys;
