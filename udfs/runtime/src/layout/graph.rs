//! The neighbourhoods of vectors as one graph, whose weights say how surely two vectors are neighbours.

use rayon::prelude::*;

/// The other vectors nearest to a vector, with their distances, nearest first.
pub(super) type Nearest = Vec<(u32, f32)>;

/// Halvings in the search for a scale, and how near its sum has to come: umap-learn's.
const HALVINGS: usize = 64;
const TOLERANCE: f64 = 1e-5;
/// The least scale, as a part of the mean distance: umap-learn's.
const LEAST_SCALE: f64 = 1e-3;

/// A vector's neighbour. Both directions of a pair have the same weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    /// Above 0, up to 1.
    pub(super) weight: f32,
}

/// The fuzzy union of all neighbourhoods (McInnes et al. 2018, algorithms 1 to 3): `p + q - p·q`, where `p` and `q` are
/// how surely either one counts the other among its own. Ordered by `from`, then by `to`.
pub(super) fn fuzzy_union(nearest: &[Nearest]) -> Vec<Edge> {
    let mean = mean(nearest.iter().flatten());
    let weights: Vec<Vec<f32>> = nearest.par_iter().map(|own| membership(own, mean)).collect();
    let pairs = (0u32..)
        .zip(nearest.iter().zip(&weights))
        .flat_map(|(from, (own, weights))| own.iter().zip(weights).map(move |((to, _), weight)| (from, *to, *weight)));
    let mut both: Vec<Edge> =
        pairs.flat_map(|(from, to, weight)| [Edge { from, to, weight }, Edge { from: to, to: from, weight }]).collect();
    both.par_sort_unstable_by_key(|edge| (edge.from, edge.to));
    both.chunk_by(|one, other| (one.from, one.to) == (other.from, other.to)).filter_map(unite).collect()
}

fn unite(same: &[Edge]) -> Option<Edge> {
    let weight = same.iter().fold(0.0, |sum, edge| sum + edge.weight - sum * edge.weight);
    same.first().filter(|_| weight > 0.0).map(|edge| Edge { weight, ..*edge })
}

fn mean<'a>(nearest: impl Iterator<Item = &'a (u32, f32)>) -> f64 {
    let (sum, count) = nearest.fold((0.0, 0usize), |(sum, count), (_, d)| (sum + f64::from(*d), count + 1));
    sum / count.max(1) as f64
}

/// `exp(-(d - ρ) / σ)` for each neighbour: ρ is the least distance above 0, and σ such that the sum over the neighbours
/// is the binary logarithm of their number, the vector itself counted.
fn membership(own: &[(u32, f32)], mean_of_all: f64) -> Vec<f32> {
    let nearest = own.iter().map(|(_, distance)| f64::from(*distance)).find(|distance| *distance > 0.0);
    let beyond: Vec<f64> =
        own.iter().map(|(_, distance)| (f64::from(*distance) - nearest.unwrap_or(0.0)).max(0.0)).collect();
    let least = LEAST_SCALE * if nearest.is_some() { mean(own.iter()) } else { mean_of_all };
    let scale = scale(&beyond).max(least);
    beyond.iter().map(|d| if *d > 0.0 { (-d / scale).exp() as f32 } else { 1.0 }).collect()
}

/// σ, by halving.
fn scale(beyond: &[f64]) -> f64 {
    let wished = ((beyond.len() + 1) as f64).log2();
    let (mut low, mut high, mut scale) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..HALVINGS {
        let sum: f64 = beyond.iter().map(|d| (-d / scale).exp()).sum();
        if (sum - wished).abs() < TOLERANCE {
            break;
        }
        if sum > wished {
            high = scale;
        } else {
            low = scale;
        }
        scale = if high.is_finite() { f64::midpoint(low, high) } else { scale * 2.0 };
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::{Edge, fuzzy_union, membership};

    #[test]
    fn memberships_add_up_to_the_logarithm_of_the_number_of_neighbours() {
        let own: Vec<(u32, f32)> = (0..14).map(|n| (n, 0.3 + 0.02 * n as f32)).collect();
        let weights = membership(&own, 0.4);
        assert_eq!(weights[0], 1.0, "the nearest is a neighbour for sure");
        assert!((weights.iter().sum::<f32>() - 15f32.log2()).abs() < 1e-4);
        assert!(weights.is_sorted_by(|one, other| one > other));
    }

    #[test]
    fn equal_vectors_are_neighbours_for_sure() {
        assert_eq!(membership(&[(1, 0.0), (2, 0.0)], 0.0), [1.0, 1.0]);
    }

    #[test]
    fn a_pair_has_one_weight_in_both_directions() {
        let edges = fuzzy_union(&[vec![(1, 0.1), (2, 0.4)], vec![(0, 0.1), (2, 0.3)], vec![(1, 0.3), (0, 0.4)]]);
        assert_eq!(
            edges.iter().map(|edge| (edge.from, edge.to)).collect::<Vec<_>>(),
            [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
        );
        for edge in &edges {
            assert!(edges.contains(&Edge { from: edge.to, to: edge.from, weight: edge.weight }));
        }
        assert_eq!(edges[0].weight, 1.0);
    }
}
