//! The price table that costs are computed with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::price::{PriceList, PriceTable};
use store::{Database, StoreError};

/// The list that the program comes with.
pub const BUILT_IN: &str = include_str!("../../prices.toml");

/// The table that holds now. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Prices {
    current: Arc<ArcSwap<PriceTable>>,
}

/// A price list that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PriceError(String);

/// Reads a price list as it is written down, in TOML.
///
/// # Errors
/// When it is not TOML, or a price in it is wrong.
pub fn parse(text: &str) -> Result<PriceTable, PriceError> {
    let list: PriceList = toml::from_str(text).map_err(|error| PriceError(error.to_string()))?;
    PriceTable::new(list).map_err(|error| PriceError(error.to_string()))
}

impl Prices {
    /// The built-in table.
    ///
    /// # Errors
    /// Never, as long as the test of this file passes.
    pub fn built_in() -> Result<Self, PriceError> {
        let current = Arc::new(ArcSwap::from_pointee(parse(BUILT_IN)?));
        Ok(Self { current })
    }

    /// What the gateway reads.
    #[must_use]
    pub const fn current(&self) -> &Arc<ArcSwap<PriceTable>> {
        &self.current
    }

    /// Takes over the list that is stored, or the built-in one where there is none. A list
    /// that makes no sense, which no version of this program stores, changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(&self, database: &Database) -> Result<(), StoreError> {
        let table = match store::prices::get(database).await {
            Ok(Some((list, _))) => {
                PriceTable::new(list).map_err(|error| PriceError(error.to_string()))
            }
            Ok(None) => parse(BUILT_IN),
            Err(StoreError::Corrupt(what)) => Err(PriceError(what)),
            Err(error) => return Err(error),
        };
        match table {
            Ok(table) => self.current.store(Arc::new(table)),
            Err(error) => tracing::error!(%error, "the stored price list cannot be used"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use providers::catalog;

    use super::*;

    #[test]
    fn the_built_in_list_is_sound_and_names_providers_of_the_catalog() {
        let table = parse(BUILT_IN).unwrap();
        assert!(table.price("simulated", "simulated-chat", None).is_some());
        for price in &table.list().prices {
            let rates = &price.rates;
            assert!(
                rates.cache_read.is_none_or(|read| read <= rates.input),
                "{price:?}"
            );
            let known = catalog::provider(&price.provider).is_some();
            assert!(
                known || PLANNED.contains(&price.provider.as_str()),
                "{}",
                price.provider
            );
        }
    }

    /// Priced ahead of their catalog rows.
    const PLANNED: [&str; 4] = ["google_genai", "mistralai", "cohere", "google_vertexai"];
}
