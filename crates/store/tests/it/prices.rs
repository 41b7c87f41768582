//! The price list.

use domain::price::{Price, PriceList, Rates};
use jiff::civil::Date;
use store::prices;

use crate::support::{commit, time};

fn list(input: u64) -> PriceList {
    PriceList {
        prices: vec![Price {
            provider: "p".to_owned(),
            models: vec!["m*".to_owned()],
            service_tier: None,
            rates: Rates {
                input,
                ..Rates::default()
            },
            tiers: Vec::new(),
            source: "https://example.com".to_owned(),
            date: Date::constant(2026, 11, 24),
        }],
    }
}

on_both_engines! {
    async fn the_list_is_replaced_whole_and_everybody_is_told(fixture) {
        let database = &fixture.database;
        assert!(prices::get(database).await.unwrap().is_none());
        let before = store::changes::current_revision(database).await.unwrap();
        for input in [1, 2] {
            commit(database, async |transaction| {
                prices::put(transaction, &list(input), time(5)).await
            })
            .await
            .unwrap();
        }
        assert_eq!(prices::get(&fixture.again().await).await.unwrap(), Some((list(2), time(5))));
        let after = store::changes::current_revision(database).await.unwrap();
        assert_eq!(after, before + 2);
        commit(database, prices::delete).await.unwrap();
        assert!(prices::get(database).await.unwrap().is_none());
    }
}
