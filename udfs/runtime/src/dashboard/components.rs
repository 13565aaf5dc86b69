//! Which components of what a source reads vary with its features: SAEDashboard's correlated neurons.

use std::ops::Range;

use rayon::prelude::*;

use super::correlations::{Correlated, Moments, most_correlated};
use super::firings::Firing;

/// Sums over tokens of the products of a source's features with the components of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentSums {
    /// Components of the input.
    width: usize,
    components: Vec<Moments>,
    /// `[features, width]`
    products: Vec<f64>,
}

impl ComponentSums {
    /// Of no tokens yet, for `features` features and `width` components.
    pub fn new(features: usize, width: usize) -> Self {
        Self { width, components: vec![Moments::default(); width], products: vec![0.0; features * width] }
    }

    /// Takes some tokens in. `x` `[N, width]` is what the source read, row after row, `rows` those of it that count, and
    /// `firings` those on them, sorted by [`Firing::key`]; `row_of` tells in which row a firing is. Tokens come in order.
    pub(super) fn take(
        &mut self,
        x: &[f32],
        rows: impl Iterator<Item = usize>,
        firings: &[Firing],
        row_of: impl Fn(&Firing) -> usize + Sync,
    ) {
        let width = self.width;
        let row = |number: usize| {
            let start = number.checked_mul(width);
            start.and_then(|start| x.get(start..start.checked_add(width)?)).unwrap_or_default()
        };
        for number in rows {
            self.components.iter_mut().zip(row(number)).for_each(|(moments, value)| moments.add(f64::from(*value)));
        }
        self.products.par_chunks_mut(width.max(1)).enumerate().for_each(|(feature, products)| {
            for firing in of_feature(firings, feature) {
                let value = f64::from(firing.value);
                products.iter_mut().zip(row(row_of(firing))).for_each(|(sum, x)| *sum += value * f64::from(*x));
            }
        });
    }

    /// For each of some `features`, the `k` components that correlate most with it. `moments` are those of all features,
    /// `tokens` how many tokens were looked at.
    pub fn correlated(
        &self,
        features: Range<usize>,
        moments: &[Moments],
        tokens: u64,
        k: usize,
    ) -> Vec<Vec<Correlated>> {
        let of_feature = |feature: usize| {
            let own = moments.get(feature).copied().unwrap_or_default();
            let products = self.products.get(feature * self.width..(feature + 1) * self.width).unwrap_or_default();
            most_correlated(own, &self.components, products, tokens, (k, None))
        };
        features.map(of_feature).collect()
    }

    /// All sums, as numbers in an order of their own.
    pub fn to_numbers(&self) -> impl Iterator<Item = f64> {
        let moments = self.components.iter().flat_map(|moments| [moments.sum, moments.squares]);
        moments.chain(self.products.iter().copied())
    }

    /// How many numbers [`Self::to_numbers`] has.
    pub fn count(&self) -> usize {
        2 * self.components.len() + self.products.len()
    }

    /// Takes over what [`Self::to_numbers`] gave, for sums of the same features and components. Whether there were as many.
    pub fn set_numbers(&mut self, numbers: &[f64]) -> bool {
        let Some((moments, products)) = numbers.split_at_checked(2 * self.width) else { return false };
        if products.len() != self.products.len() {
            return false;
        }
        for (own, pair) in self.components.iter_mut().zip(moments.chunks_exact(2)) {
            if let [sum, squares] = pair {
                *own = Moments { sum: *sum, squares: *squares };
            }
        }
        self.products.copy_from_slice(products);
        true
    }
}

fn of_feature(firings: &[Firing], feature: usize) -> &[Firing] {
    let start = firings.partition_point(|firing| (firing.feature as usize) < feature);
    let end = firings.partition_point(|firing| firing.feature as usize <= feature);
    firings.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::ComponentSums;
    use crate::dashboard::{Firing, Moments};

    #[test]
    fn a_component_that_moves_with_a_feature_correlates_and_sums_are_kept() {
        let x: Vec<f32> = (0..40).flat_map(|n| [(n % 5) as f32, (n % 7) as f32]).collect();
        let value = |n: u32| (n % 5) as f32;
        let firings: Vec<Firing> = (0..40)
            .filter(|n| value(*n) > 0.0)
            .map(|n| Firing { feature: 1, prompt: 0, position: n, value: value(n) })
            .collect();
        let mut moments = [Moments::default(); 2];
        firings.iter().for_each(|firing| moments[1].add(f64::from(firing.value)));
        let mut sums = ComponentSums::new(2, 2);
        sums.take(&x, 0..40, &firings, |firing| firing.position as usize);
        let found = sums.correlated(0..2, &moments, 40, 1);
        assert!(found[0].is_empty(), "a dead feature correlates with nothing");
        assert_eq!(found[1][0].index, 0);
        assert!((found[1][0].pearson - 1.0).abs() < 1e-6 && (found[1][0].cosine - 1.0).abs() < 1e-6);
        let numbers: Vec<f64> = sums.to_numbers().collect();
        let mut other = ComponentSums::new(2, 2);
        assert!(!other.set_numbers(&numbers[1..]));
        assert!(other.set_numbers(&numbers));
        assert_eq!((other, numbers.len()), (sums.clone(), sums.count()));
    }
}
