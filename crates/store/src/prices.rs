//! The price list that replaces the built-in one, for all nodes.

use domain::price::PriceList;
use jiff::Timestamp;

use crate::changes::Change;
use crate::error::StoreError;
use crate::row::{Read as _, at_most_one, json};
use crate::{Database, WriteTransaction};

/// The stored list, and when it was stored; none where the built-in one holds.
pub async fn get(database: &Database) -> Result<Option<(PriceList, Timestamp)>, StoreError> {
    let statement = sqlx::query("SELECT document, updated_at FROM price_lists WHERE id = 1");
    at_most_one(database.fetch(statement).await?, |row| {
        Ok((row.document("document")?, row.time("updated_at")?))
    })
}

/// Stores a list in place of the one before; noted as a change to the installation.
pub async fn put(
    transaction: &mut WriteTransaction,
    list: &PriceList,
    at: Timestamp,
) -> Result<(), StoreError> {
    let statement = sqlx::query(
        "INSERT INTO price_lists (id, document, updated_at) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET
             document = excluded.document, updated_at = excluded.updated_at",
    )
    .bind(json(list)?)
    .bind(at.as_microsecond());
    transaction.execute(statement).await?;
    transaction.note(Change::SystemDefaults);
    Ok(())
}

/// Forgets the stored list, so that the built-in one holds again.
pub async fn delete(transaction: &mut WriteTransaction) -> Result<(), StoreError> {
    transaction
        .execute(sqlx::query("DELETE FROM price_lists"))
        .await?;
    transaction.note(Change::SystemDefaults);
    Ok(())
}
