//! What an operator does with the vault: look at it, rotate its root key, back it up.

pub mod backup;
pub mod passphrase;
pub mod rotate;
pub mod status;
