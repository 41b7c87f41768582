//! What tokens cost, and the exact arithmetic over it.
//!
//! Prices are whole micro-dollars (millionths of a US dollar) for a million tokens. The
//! cost of an attempt is the sum over its kinds of tokens, rounded once, half up, to a
//! whole micro-dollar. No floating point takes part.

use std::collections::HashMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::usage::Tokens;

/// No price is above a million dollars for a million tokens.
const HIGHEST_RATE: u64 = 1_000_000_000_000;

/// A price list, as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// The prices, in any order.
    pub prices: Vec<Price>,
}

/// What some models of one provider cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The catalog name of the provider.
    pub provider: String,
    /// Names of models; one that ends with `*` means all that begin with what stands
    /// before it. An exact name wins over any beginning, a longer one over a shorter.
    pub models: Vec<String>,
    /// The class of service that these rates are for; left out for the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The rates.
    pub rates: Rates,
    /// Rates of prompts beyond a length; they hold for all tokens of such a call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// The page that says so.
    pub source: String,
    /// When somebody last looked there.
    pub date: Date,
}

/// Micro-dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Prompt tokens.
    pub input: u64,
    /// Prompt tokens read from a cache; as much as `input` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Prompt tokens written for five minutes; as much as `input` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<u64>,
    /// Prompt tokens written for an hour; as much as `cache_write_5m` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Generated tokens, reasoning included.
    pub output: u64,
}

/// Rates of long prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Prompts with more tokens than this, cached ones included.
    pub above_input_tokens: u64,
    /// The rates then.
    pub rates: Rates,
}

/// What is wrong with a price list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("price {} ({provider} {models}): {what}", .position + 1)]
pub struct InvalidPrice {
    /// Its place in the list, from 0.
    pub position: usize,
    /// Whose price.
    pub provider: String,
    /// Which models.
    pub models: String,
    /// What is wrong.
    pub what: String,
}

/// A price list that has been checked, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct PriceTable {
    list: PriceList,
    by_provider: HashMap<String, Patterns>,
}

/// Where in the list the prices of one provider are.
#[derive(Clone, Debug, Default)]
struct Patterns {
    exact: HashMap<String, Vec<usize>>,
    /// Beginnings of names, the longest first.
    beginnings: Vec<(String, usize)>,
}

impl Rates {
    /// The cost of these tokens in micro-dollars, rounded once, half up.
    #[must_use]
    pub fn cost(&self, tokens: &Tokens) -> i64 {
        let cache_write_5m = self.cache_write_5m.unwrap_or(self.input);
        let by_kind = [
            (tokens.uncached_input, self.input),
            (tokens.cache_read, self.cache_read.unwrap_or(self.input)),
            (tokens.cache_write_5m, cache_write_5m),
            (
                tokens.cache_write_1h,
                self.cache_write_1h.unwrap_or(cache_write_5m),
            ),
            (tokens.output, self.output),
        ];
        let total = by_kind
            .iter()
            .map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate))
            .fold(0_u128, u128::saturating_add);
        let micros = total.saturating_add(500_000) / 1_000_000;
        i64::try_from(micros).unwrap_or(i64::MAX)
    }

    fn most(&self, input: u64, output: u64) -> i64 {
        let kinds = [self.cache_read, self.cache_write_5m, self.cache_write_1h];
        let kinds = kinds.into_iter().flatten().chain([self.input]);
        let dearest = Self {
            input: kinds.max().unwrap_or(0),
            output: self.output,
            ..Self::default()
        };
        dearest.cost(&Tokens {
            uncached_input: input,
            output,
            ..Tokens::default()
        })
    }

    fn highest(&self) -> u64 {
        let cached = [self.cache_read, self.cache_write_5m, self.cache_write_1h];
        let cached = cached.into_iter().flatten();
        cached.chain([self.input, self.output]).max().unwrap_or(0)
    }
}

impl Price {
    /// The rates for a prompt of so many tokens.
    #[must_use]
    pub fn rates_for(&self, input_tokens: u64) -> &Rates {
        let tier = self
            .tiers
            .iter()
            .filter(|tier| input_tokens > tier.above_input_tokens)
            .max_by_key(|tier| tier.above_input_tokens);
        tier.map_or(&self.rates, |tier| &tier.rates)
    }

    fn fault(&self) -> Option<String> {
        let is_named = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        let pattern = |model: &String| {
            let name = model.strip_suffix('*').unwrap_or(model);
            is_named(model) && !name.contains('*')
        };
        let rates = self.tiers.iter().map(|tier| &tier.rates);
        let highest = rates.chain([&self.rates]).map(Rates::highest).max();
        if !is_named(&self.provider) {
            Some("`provider` names none".to_owned())
        } else if self.models.is_empty() || !self.models.iter().all(pattern) {
            Some("`models` lists names, with `*` only at the end of one".to_owned())
        } else if highest > Some(HIGHEST_RATE) {
            Some("a rate is above a million dollars for a million tokens".to_owned())
        } else if !self.source.starts_with("https://") {
            Some("`source` is no https:// address".to_owned())
        } else if self.tiers.iter().any(|tier| tier.above_input_tokens == 0) {
            Some("a tier begins above some number of tokens".to_owned())
        } else {
            None
        }
    }
}

impl PriceTable {
    /// Checks a list.
    ///
    /// # Errors
    /// With the first price that is wrong, or that is there twice.
    pub fn new(list: PriceList) -> Result<Self, InvalidPrice> {
        let mut by_provider = HashMap::<String, Patterns>::new();
        for (position, price) in list.prices.iter().enumerate() {
            let invalid = |what| InvalidPrice {
                position,
                provider: price.provider.clone(),
                models: price.models.join(", "),
                what,
            };
            if let Some(fault) = price.fault() {
                return Err(invalid(fault));
            }
            let patterns = by_provider.entry(price.provider.clone()).or_default();
            for model in &price.models {
                let known = patterns.known(model);
                if known
                    .iter()
                    .any(|known| list.prices[*known].service_tier == price.service_tier)
                {
                    return Err(invalid(format!("`{model}` has a price already")));
                }
                patterns.add(model, position);
            }
        }
        for patterns in by_provider.values_mut() {
            let longest_first = |(name, _): &(String, usize)| std::cmp::Reverse(name.len());
            patterns.beginnings.sort_by_key(longest_first);
        }
        Ok(Self { list, by_provider })
    }

    /// The list that it was made from.
    #[must_use]
    pub const fn list(&self) -> &PriceList {
        &self.list
    }

    /// The price of a model; none where it has none for that class of service.
    #[must_use]
    pub fn price(&self, provider: &str, model: &str, service_tier: Option<&str>) -> Option<&Price> {
        let patterns = self.by_provider.get(provider)?;
        let of_tier = |position: usize| {
            let price = self.list.prices.get(position)?;
            (price.service_tier.as_deref() == service_tier).then_some(price)
        };
        patterns.matching(model).find_map(of_tier)
    }

    /// What an attempt cost, in micro-dollars; none where the model has no price.
    #[must_use]
    pub fn cost(
        &self,
        provider: &str,
        model: &str,
        service_tier: Option<&str>,
        tokens: &Tokens,
    ) -> Option<i64> {
        let price = self.price(provider, model, service_tier)?;
        Some(price.rates_for(tokens.input()).cost(tokens))
    }

    /// The most that so many tokens may cost, whatever their kinds and their class of
    /// service; none where the model has no price.
    #[must_use]
    pub fn most(&self, provider: &str, model: &str, input: u64, output: u64) -> Option<i64> {
        let patterns = self.by_provider.get(provider)?;
        let mut classes = Vec::new();
        let prices = patterns.matching(model).filter_map(|position| {
            let price = self.list.prices.get(position)?;
            // Of one class, the first price holds and no other.
            let is_first = !classes.contains(&&price.service_tier);
            classes.push(&price.service_tier);
            is_first.then_some(price)
        });
        let tiers = prices.flat_map(|price| {
            let tiers = price.tiers.iter().map(|tier| &tier.rates);
            tiers.chain([&price.rates])
        });
        tiers.map(|rates| rates.most(input, output)).max()
    }

    /// The same by the first of several names that has a price: the model that was asked
    /// for, then the one that answered. A deployment's name says nothing of its model.
    #[must_use]
    pub fn cost_of<M: AsRef<str>>(
        &self,
        provider: &str,
        models: impl IntoIterator<Item = M>,
        service_tier: Option<&str>,
        tokens: &Tokens,
    ) -> Option<i64> {
        models
            .into_iter()
            .find_map(|model| self.cost(provider, model.as_ref(), service_tier, tokens))
    }
}

impl Patterns {
    /// The prices of a model, the one that fits best first.
    fn matching<'table>(&'table self, model: &'table str) -> impl Iterator<Item = usize> + 'table {
        let exact = self.exact.get(model).into_iter().flatten();
        let beginnings = self
            .beginnings
            .iter()
            .filter(move |(beginning, _)| model.starts_with(beginning.as_str()))
            .map(|(_, position)| position);
        exact.chain(beginnings).copied()
    }

    fn known(&self, model: &str) -> Vec<usize> {
        match model.strip_suffix('*') {
            Some(beginning) => self
                .beginnings
                .iter()
                .filter(|(known, _)| known == beginning)
                .map(|(_, position)| *position)
                .collect(),
            None => self.exact.get(model).cloned().unwrap_or_default(),
        }
    }

    fn add(&mut self, model: &str, position: usize) {
        match model.strip_suffix('*') {
            Some(beginning) => self.beginnings.push((beginning.to_owned(), position)),
            None => self
                .exact
                .entry(model.to_owned())
                .or_default()
                .push(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(models: &[&str], input: u64, output: u64) -> Price {
        Price {
            provider: "p".to_owned(),
            models: models.iter().map(|&model| model.to_owned()).collect(),
            service_tier: None,
            rates: Rates {
                input,
                output,
                ..Rates::default()
            },
            tiers: Vec::new(),
            source: "https://example.com/prices".to_owned(),
            date: Date::constant(2026, 11, 24),
        }
    }

    fn table(prices: Vec<Price>) -> PriceTable {
        PriceTable::new(PriceList { prices }).unwrap()
    }

    #[test]
    fn the_sum_is_rounded_once_and_half_up() {
        let rates = Rates {
            input: 500_000,
            cache_read: Some(250_000),
            cache_write_5m: Some(1_250_000),
            cache_write_1h: None,
            output: 100_000,
        };
        let tokens = |uncached_input, cache_read, output| Tokens {
            uncached_input,
            cache_read,
            output,
            ..Tokens::default()
        };
        assert_eq!(rates.cost(&tokens(1, 0, 0)), 1, "half a micro-dollar");
        assert_eq!(rates.cost(&tokens(0, 1, 2)), 0, "0.45");
        assert_eq!(rates.cost(&tokens(0, 1, 3)), 1, "0.55, not 0.25 and 0.3");
        let written = Tokens {
            cache_write_5m: 2,
            cache_write_1h: 2,
            ..Tokens::default()
        };
        assert_eq!(rates.cost(&written), 5, "an hour as five minutes");
        let endless = Tokens {
            output: u64::MAX,
            uncached_input: u64::MAX,
            ..Tokens::default()
        };
        let dear = Rates {
            input: HIGHEST_RATE,
            output: HIGHEST_RATE,
            ..Rates::default()
        };
        assert_eq!(dear.cost(&endless), i64::MAX);
    }

    #[test]
    fn exact_names_win_over_beginnings_and_long_ones_over_short() {
        let table = table(vec![
            price(&["gpt-*"], 1, 1),
            price(&["gpt-5*", "o3"], 2, 2),
            price(&["gpt-5-mini"], 3, 3),
        ]);
        let input = |model| table.price("p", model, None).map(|price| price.rates.input);
        assert_eq!(input("gpt-4"), Some(1));
        assert_eq!(input("gpt-5-2026"), Some(2));
        assert_eq!(input("gpt-5-mini"), Some(3));
        assert_eq!(input("gpt-5-mini-2026"), Some(2));
        assert_eq!(input("o3"), Some(2));
        assert_eq!(input("o3-mini"), None);
        assert!(table.price("q", "o3", None).is_none());
    }

    #[test]
    fn long_prompts_and_classes_of_service_have_their_own_rates() {
        let mut usual = price(&["m"], 1_000_000, 0);
        usual.tiers = vec![Tier {
            above_input_tokens: 100,
            rates: Rates {
                input: 2_000_000,
                ..Rates::default()
            },
        }];
        let mut flex = price(&["m"], 500_000, 0);
        flex.service_tier = Some("flex".to_owned());
        let table = table(vec![usual, flex]);
        let cost = |tier, uncached_input, cache_read| {
            let tokens = Tokens {
                uncached_input,
                cache_read,
                ..Tokens::default()
            };
            table.cost("p", "m", tier, &tokens)
        };
        assert_eq!(cost(None, 100, 0), Some(100));
        assert_eq!(cost(None, 100, 1), Some(202), "cached tokens count");
        assert_eq!(cost(Some("flex"), 1000, 0), Some(500));
        assert_eq!(cost(Some("priority"), 1, 0), None);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let refused = |change: fn(&mut Price)| {
            let mut wrong = price(&["m"], 1, 1);
            change(&mut wrong);
            PriceTable::new(PriceList {
                prices: vec![price(&["n"], 1, 1), wrong],
            })
            .unwrap_err()
            .position
        };
        assert_eq!(refused(|price| price.models.clear()), 1);
        assert_eq!(refused(|price| price.models = vec!["a*b".to_owned()]), 1);
        assert_eq!(refused(|price| price.models = vec!["n".to_owned()]), 1);
        assert_eq!(refused(|price| price.source = "somewhere".to_owned()), 1);
        assert_eq!(refused(|price| price.rates.output = u64::MAX), 1);
        assert_eq!(refused(|price| price.provider = " ".to_owned()), 1);
    }

    proptest! {
        #[test]
        fn a_cost_is_within_half_a_micro_dollar_of_the_exact_sum(
            counts in prop::array::uniform3(0_u64..10_000_000),
            rates in prop::array::uniform3(0_u64..100_000_000),
        ) {
            let tokens = Tokens {
                uncached_input: counts[0],
                cache_read: counts[1],
                output: counts[2],
                ..Tokens::default()
            };
            let prices = Rates {
                input: rates[0],
                cache_read: Some(rates[1]),
                output: rates[2],
                ..Rates::default()
            };
            let exact: u128 = (0..3).map(|kind| u128::from(counts[kind]) * u128::from(rates[kind])).sum();
            let cost = u128::try_from(prices.cost(&tokens)).unwrap() * 1_000_000;
            prop_assert!(cost + 500_000 >= exact && cost <= exact + 500_000);
        }
    }
}
