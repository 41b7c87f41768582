//! What the commands say: results on standard output, everything else on standard error.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use serde_json::Value;

/// How a listing looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns, for people
    #[default]
    Table,
    /// The server's own JSON, for programs
    Json,
}

/// Whoever read standard output has had enough, as `head` does. That is no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct ReaderLeft;

/// Writes a result and a line break to standard output.
///
/// # Errors
/// When standard output cannot be written; where it was closed, the error holds
/// [`ReaderLeft`].
pub(super) fn result(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => std::io::Error::new(ErrorKind::BrokenPipe, ReaderLeft),
        _ => error,
    })
}

/// Whether a command ended because nobody reads on. A connection that broke is another
/// thing, though the system calls both a broken pipe.
pub(super) fn is_reader_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| inner.is::<ReaderLeft>())
}

/// Tells a person something, on standard error.
pub(super) fn explain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes JSON, indented, to standard output.
///
/// # Errors
/// When standard output is closed.
pub(super) fn json(value: &Value) -> std::io::Result<()> {
    result(&format!("{value:#}"))
}

/// Writes rows in columns to standard output. Without rows, only a remark on standard error.
///
/// # Errors
/// When standard output is closed.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    if rows.is_empty() {
        explain("nothing yet");
        return Ok(());
    }
    let headings: Vec<String> = headings
        .iter()
        .map(|heading| heading.to_uppercase())
        .collect();
    let all = || std::iter::once(&headings).chain(rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in all() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            format!("{cell:<width$}")
        });
        result(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
