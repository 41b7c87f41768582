//! `quartermaster providers`: the page of providers, without a server.

use ::providers::catalog::{self, page};

use super::output;

pub(super) fn run() -> anyhow::Result<()> {
    output::result(page::render(catalog::providers()).trim_end())?;
    Ok(())
}
