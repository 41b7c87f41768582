//! `quartermaster openapi`: the document, without a server.

use super::output;

pub(super) fn run() -> anyhow::Result<()> {
    let document = crate::wiring::openapi();
    output::result(&document.to_pretty_json()?)?;
    Ok(())
}
