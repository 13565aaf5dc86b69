//! Moves points until neighbours are near each other and others are not.
//!
//! McInnes et al. 2018, algorithm 5, in the form of umap-learn: an edge pulls its two points together as often as its weight
//! is large, and each time pushes the first one away from a few random points. One thread does it, edge after edge: the
//! result depends on nothing but the start, the edges and the seed.

use std::ops::ControlFlow;

use super::curve::Curve;
use super::graph::Edge;
use super::start::Point;
use crate::random::Random;

/// How many random points an edge pushes away, and the longest way in one step and one coordinate: umap-learn's.
const PUSHES: f32 = 5.0;
const LONGEST: f32 = 4.0;
/// Keeps the push of near points finite: umap-learn's.
const SOFTENING: f32 = 0.001;

/// An edge at work. Times are in epochs.
#[derive(Debug)]
struct Spring {
    from: usize,
    to: usize,
    /// From one pull to the next: 1 for the largest weight.
    period: f32,
    next_pull: f32,
    next_push: f32,
}

/// Moves `points` for a number of `epochs`. `after_epoch` is told how many are done, and may end it.
pub(super) fn descend(
    points: &mut [Point],
    edges: &[Edge],
    curve: Curve,
    epochs: usize,
    random: &mut Random,
    mut after_epoch: impl FnMut(usize) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut springs = springs(edges, epochs);
    for epoch in 0..epochs {
        let step = 1.0 - epoch as f32 / epochs as f32;
        for spring in &mut springs {
            if spring.next_pull <= epoch as f32 {
                pull(points, spring, curve, step);
                let pushes = spring.pushes_until(epoch as f32);
                (0..pushes).for_each(|_| push(points, spring.from, random.below(points.len()), curve, step));
            }
        }
        after_epoch(epoch + 1)?;
    }
    ControlFlow::Continue(())
}

/// Edges too weak to pull once are left out.
fn springs(edges: &[Edge], epochs: usize) -> Vec<Spring> {
    let strongest = edges.iter().fold(0f32, |most, edge| most.max(edge.weight));
    let able = edges.iter().filter(|edge| edge.weight * epochs as f32 >= strongest);
    able.map(|edge| {
        let period = strongest / edge.weight;
        let (from, to) = (edge.from as usize, edge.to as usize);
        Spring { from, to, period, next_pull: period, next_push: period / PUSHES }
    })
    .collect()
}

impl Spring {
    /// How many pushes are due after a pull at `epoch`; the next pull and the next push are set.
    fn pushes_until(&mut self, epoch: f32) -> usize {
        self.next_pull += self.period;
        let between = self.period / PUSHES;
        let due = ((epoch - self.next_push) / between).max(0.0).floor();
        self.next_push += due * between;
        due as usize
    }
}

fn pull(points: &mut [Point], spring: &Spring, curve: Curve, step: f32) {
    let way = way(points, spring.from, spring.to);
    let squared = squared(way);
    if squared > 0.0 {
        let power = squared.powf(curve.b);
        let factor = -2.0 * curve.a * curve.b * power / (squared * (1.0 + curve.a * power));
        let moved = way.map(|along| step * (factor * along).clamp(-LONGEST, LONGEST));
        shift(points, spring.from, moved);
        shift(points, spring.to, moved.map(|along| -along));
    }
}

fn push(points: &mut [Point], from: usize, other: usize, curve: Curve, step: f32) {
    let way = way(points, from, other);
    let squared = squared(way);
    if squared > 0.0 {
        let factor = 2.0 * curve.b / ((SOFTENING + squared) * (1.0 + curve.a * squared.powf(curve.b)));
        shift(points, from, way.map(|along| step * (factor * along).clamp(-LONGEST, LONGEST)));
    }
}

/// From `other` to `from`.
fn way(points: &[Point], from: usize, other: usize) -> Point {
    let at = |index: usize| points.get(index).copied().unwrap_or_default();
    let ([x, y], [other_x, other_y]) = (at(from), at(other));
    [x - other_x, y - other_y]
}

fn squared([x, y]: Point) -> f32 {
    x * x + y * y
}

fn shift(points: &mut [Point], index: usize, [x, y]: Point) {
    if let Some(point) = points.get_mut(index) {
        point[0] += x;
        point[1] += y;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::{Spring, descend, springs, squared, way};
    use crate::layout::curve::Curve;
    use crate::layout::graph::Edge;
    use crate::random::Random;

    fn edges(pairs: &[(u32, u32)]) -> Vec<Edge> {
        pairs
            .iter()
            .flat_map(|(from, to)| [(*from, *to), (*to, *from)])
            .map(|(from, to)| Edge { from, to, weight: 1.0 })
            .collect()
    }

    #[test]
    fn neighbours_come_near_and_others_go_far() {
        let mut points = vec![[0.0, 0.0], [9.0, 0.0], [0.0, 1.0], [9.0, 1.0]];
        let edges = edges(&[(0, 1), (2, 3)]);
        let done =
            descend(&mut points, &edges, Curve::fit(0.1), 300, &mut Random::new(1), |_| ControlFlow::Continue(()));
        assert_eq!(done, ControlFlow::Continue(()));
        let apart = |one, other| squared(way(&points, one, other)).sqrt();
        assert!(apart(0, 1) < 1.0 && apart(2, 3) < 1.0, "{points:?}");
        assert!(apart(0, 2) > 2.0 && apart(1, 3) > 2.0, "{points:?}");
    }

    #[test]
    fn an_edge_pulls_as_often_as_its_weight_is_large() {
        let edge = |weight| Edge { from: 0, to: 1, weight };
        let springs = springs(&[edge(1.0), edge(0.25), edge(0.001)], 100);
        assert_eq!(springs.iter().map(|spring| spring.period).collect::<Vec<_>>(), [1.0, 4.0]);
    }

    #[test]
    fn pushes_keep_pace_with_pulls() {
        let mut spring = Spring { from: 0, to: 1, period: 2.5, next_pull: 2.5, next_push: 0.5 };
        let mut pushes = 0;
        for epoch in 0..100 {
            if spring.next_pull <= epoch as f32 {
                pushes += spring.pushes_until(epoch as f32);
            }
        }
        assert!((190..=200).contains(&pushes), "{pushes}");
    }

    #[test]
    fn it_ends_when_told_to() {
        let mut points = vec![[0.0, 0.0], [9.0, 0.0]];
        let mut epochs = 0;
        let done = descend(&mut points, &edges(&[(0, 1)]), Curve::fit(0.1), 300, &mut Random::new(1), |done| {
            epochs = done;
            if done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((done, epochs), (ControlFlow::Break(()), 3));
    }
}
