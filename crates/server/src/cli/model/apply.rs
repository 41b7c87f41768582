//! `quartermaster model export` and `apply`: configurations as a file.

use anyhow::Context;
use serde_json::{Value, json};

use super::api::Api;
use super::plan::{Action, Step, Wishes, plan};
use super::{Apply, PATH, file, is_system_default, list};
use crate::cli::output::{self, Format};
use crate::cli::secret_place;

/// Prints all own configurations.
pub(super) async fn export(api: &Api) -> anyhow::Result<()> {
    let own = own(api).await?;
    let entries = own.iter().map(|row| Value::Object(file::written(row)));
    let entries: Vec<Value> = entries.collect();
    output::json(&json!({"model_configurations": entries}))?;
    Ok(())
}

/// Makes configurations as the file says.
pub(super) async fn apply(api: &Api, command: &Apply) -> anyhow::Result<()> {
    let entries = file::read(&command.file)?;
    let wishes = Wishes {
        prune: command.prune,
        replace_keys: command.replace_keys,
    };
    let steps = plan(&entries, &own(api).await?, wishes);
    print(&steps, command.output)?;
    if command.dry_run {
        output::explain(&format!(
            "{}; nothing was sent (--dry-run)",
            summary(&steps)
        ));
        return Ok(());
    }
    // Every key is there before anything is changed.
    let bodies = steps.iter().map(|step| step.body(secret_place::read));
    let bodies: Vec<Value> = bodies.collect::<Result<_, _>>()?;
    for (step, body) in steps.iter().zip(&bodies) {
        let name = &step.name;
        let sent = send(api, step, body).await;
        sent.with_context(|| format!("cannot {} `{name}`", step.verb()))?;
    }
    output::explain(&summary(&steps));
    Ok(())
}

async fn own(api: &Api) -> anyhow::Result<Vec<Value>> {
    let mut rows = list(api).await?;
    rows.retain(|row| !is_system_default(row));
    Ok(rows)
}

async fn send(api: &Api, step: &Step, body: &Value) -> anyhow::Result<()> {
    match &step.action {
        Action::Create(_) => drop(api.post(PATH, body).await?),
        Action::Update { id, .. } => drop(api.patch(&format!("{PATH}/{id}"), body).await?),
        Action::Delete { id } => drop(api.delete(&format!("{PATH}/{id}")).await?),
        Action::Keep => {}
    }
    Ok(())
}

fn print(steps: &[Step], format: Format) -> std::io::Result<()> {
    match format {
        Format::Json => output::json(&steps.iter().map(Step::json).collect()),
        Format::Table => {
            for line in steps.iter().flat_map(Step::lines) {
                output::result(&line)?;
            }
            Ok(())
        }
    }
}

fn summary(steps: &[Step]) -> String {
    let count = |verb: &str| steps.iter().filter(|step| step.verb() == verb).count();
    format!(
        "{} to create, {} to update, {} to delete, {} as they should be",
        count("create"),
        count("update"),
        count("delete"),
        count("keep")
    )
}
