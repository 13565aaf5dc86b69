//! How alike features are in when they fire, and how alike to the components of what their source reads.
//!
//! Exact over a whole corpus: sums of products in double precision, in the order of the tokens, so that they depend neither on
//! how the corpus was cut nor on threads. `r = (nΣxy − ΣxΣy) / √((nΣx² − (Σx)²)(nΣy² − (Σy)²))`, and the cosine is
//! `Σxy / √(Σx²Σy²)`; where nothing varies, both are 0. SAEDashboard computes the same within batches of features.

use std::ops::Range;

use rayon::prelude::*;

use super::firings::Firing;
use crate::ops::top_k;

/// Features of a task, at least.
const FEATURES_A_TASK: usize = 8;

/// Sums of one variable over the tokens of a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// Of its values.
    pub sum: f64,
    /// Of their squares.
    pub squares: f64,
}

impl Moments {
    /// Takes one value in.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.squares += value * value;
    }

    fn variation(&self, tokens: f64) -> f64 {
        (tokens * self.squares - self.sum * self.sum).max(0.0)
    }
}

/// What correlates with a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlated {
    /// Another feature, or a component.
    pub index: u32,
    /// Pearson's correlation.
    pub pearson: f32,
    /// Cosine over all tokens.
    pub cosine: f32,
}

/// The `k` variables that correlate most with `own`, by Pearson's correlation; `products` are their sums of products with it,
/// over `tokens` tokens. `except` is none of them.
pub(super) fn most_correlated(
    own: Moments,
    others: &[Moments],
    products: &[f64],
    tokens: u64,
    (k, except): (usize, Option<u32>),
) -> Vec<Correlated> {
    let tokens = tokens as f64;
    let pearson = |(other, product): (&Moments, &f64)| {
        let scale = (own.variation(tokens) * other.variation(tokens)).sqrt();
        if scale > 0.0 { ((tokens * product - own.sum * other.sum) / scale) as f32 } else { 0.0 }
    };
    let all: Vec<f32> = others.iter().zip(products).map(pearson).collect();
    let cosine = |index: usize| {
        let (other, product) = (others.get(index)?, products.get(index)?);
        let scale = (own.squares * other.squares).sqrt();
        Some(if scale > 0.0 { (product / scale) as f32 } else { 0.0 })
    };
    let found = top_k(&all, k, |index, pearson| Some(index) != except && pearson != 0.0).into_iter();
    found.map(|(index, pearson)| Correlated { index, pearson, cosine: cosine(index as usize).unwrap_or(0.0) }).collect()
}

/// Sums of products of some features with all.
#[derive(Debug)]
pub struct FeaturePairs {
    features: Range<usize>,
    /// Features in all.
    width: usize,
    /// `[features, width]`
    products: Vec<f64>,
}

impl FeaturePairs {
    /// For some `features` of `width`.
    pub fn new(features: Range<usize>, width: usize) -> Self {
        let products = vec![0.0; features.len() * width];
        Self { features, width, products }
    }

    /// Takes the firings of all features on some tokens in; tokens come in order, and `firings` are sorted by
    /// [`Firing::place`].
    pub fn take(&mut self, firings: &[Firing]) {
        let (first, width) = (self.features.start, self.width);
        let at_once = self.features.len().div_ceil(rayon::current_num_threads().max(1)).max(FEATURES_A_TASK);
        self.products.par_chunks_mut((at_once * width).max(1)).enumerate().for_each(|(number, products)| {
            let start = first + number * at_once;
            let own = start..start + products.len() / width.max(1);
            for token in firings.chunk_by(|one, other| one.place() == other.place()) {
                let from = token.partition_point(|firing| (firing.feature as usize) < own.start);
                let to = token.partition_point(|firing| (firing.feature as usize) < own.end);
                for firing in token.get(from..to).unwrap_or_default() {
                    let row = (firing.feature as usize - own.start) * width;
                    let row = products.get_mut(row..row + width).unwrap_or_default();
                    for other in token {
                        if let Some(sum) = row.get_mut(other.feature as usize) {
                            *sum += f64::from(firing.value) * f64::from(other.value);
                        }
                    }
                }
            }
        });
    }

    /// For each of the features, the `k` others that correlate most with it. `moments` are those of all features, `tokens`
    /// how many tokens were looked at.
    pub fn correlated(&self, moments: &[Moments], tokens: u64, k: usize) -> Vec<Vec<Correlated>> {
        let rows = self.features.clone().zip(self.products.chunks_exact(self.width.max(1)));
        let of_row = |(feature, products): (usize, &[f64])| {
            let own = moments.get(feature).copied().unwrap_or_default();
            most_correlated(own, moments, products, tokens, (k, Some(feature as u32)))
        };
        rows.map(of_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{FeaturePairs, Moments};
    use crate::dashboard::Firing;

    /// Values of five features on 400 tokens of 20 prompts; about a third fire.
    fn firings() -> Vec<Firing> {
        let mut state = 9u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let mut all = Vec::new();
        for token in 0..400u32 {
            let common = next();
            for feature in 0..5 {
                let value = if feature < 2 { common + 0.2 * next() - 0.6 } else { next() - 0.7 };
                if value > 0.0 {
                    all.push(Firing { feature, prompt: token / 20, position: token % 20, value });
                }
            }
        }
        all
    }

    /// Pearson's correlation of two features, from dense values and means.
    fn pearson(all: &[Firing], one: u32, other: u32) -> f64 {
        let dense = |feature: u32| {
            let mut values = vec![0f64; 400];
            for firing in all.iter().filter(|firing| firing.feature == feature) {
                values[(firing.prompt * 20 + firing.position) as usize] = f64::from(firing.value);
            }
            let mean = values.iter().sum::<f64>() / 400.0;
            values.into_iter().map(|value| value - mean).collect::<Vec<_>>()
        };
        let (one, other) = (dense(one), dense(other));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt()
    }

    #[test]
    fn correlations_are_those_of_dense_values() {
        let all = firings();
        let mut moments = [Moments::default(); 5];
        all.iter().for_each(|firing| moments[firing.feature as usize].add(f64::from(firing.value)));
        let mut pairs = FeaturePairs::new(0..5, 5);
        let middle = all.partition_point(|firing| firing.prompt < 7);
        pairs.take(&all[..middle]);
        pairs.take(&all[middle..]);
        let found = pairs.correlated(&moments, 400, 9);
        assert_eq!((found[0][0].index, found[1][0].index), (1, 0), "the first two share a cause");
        for (feature, others) in found.iter().enumerate() {
            assert_eq!(others.len(), 4, "a feature is not compared with itself");
            for other in others {
                let expected = pearson(&all, feature as u32, other.index);
                assert!((f64::from(other.pearson) - expected).abs() < 1e-6, "{feature} {other:?} {expected}");
            }
        }
        let mut some = FeaturePairs::new(1..3, 5);
        some.take(&all);
        assert_eq!(some.correlated(&moments, 400, 9), found[1..3]);
    }
}
