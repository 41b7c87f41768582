//! `/v1/api-keys`: the keys of an organisation.

pub(crate) mod create;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod update;
pub(crate) mod view;
