//! The largest of many values, in one order everywhere: larger first, then the lower index.

use std::cmp::Ordering;

/// Larger values first; equal ones by index. NaN comes last.
pub(super) fn by_value(one: (u32, f32), other: (u32, f32)) -> Ordering {
    let key = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
    key(other.1).total_cmp(&key(one.1)).then(one.0.cmp(&other.0))
}

/// The `k` largest of `values` that `keep` lets through, with their indices, largest first. What it gives and what it needs
/// on the way has room for a few times `k`, however many values there are: callers keep thousands of answers.
pub(crate) fn top_k(values: &[f32], k: usize, keep: impl Fn(u32, f32) -> bool) -> Vec<(u32, f32)> {
    if k == 0 {
        return Vec::new();
    }
    let most = k.saturating_mul(2).min(values.len());
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(most);
    // The last of the `k` largest so far: what does not come before it is none of them.
    let mut last: Option<(u32, f32)> = None;
    for entry in (0u32..).zip(values.iter().copied()).filter(|(index, value)| keep(*index, *value)) {
        if last.is_some_and(|last| by_value(entry, last).is_gt()) {
            continue;
        }
        best.push(entry);
        if best.len() == most && most > k {
            best.select_nth_unstable_by(k - 1, |one, other| by_value(*one, *other));
            best.truncate(k);
            last = best.last().copied();
        }
    }
    best.sort_unstable_by(|one, other| by_value(*one, *other));
    best.truncate(k);
    best
}

#[cfg(test)]
mod tests {
    use super::{by_value, top_k};

    #[test]
    fn the_largest_come_first_and_equals_by_index() {
        let values = [0.5, 2.0, f32::NAN, 2.0, -1.0];
        assert_eq!(top_k(&values, 3, |_, _| true), [(1, 2.0), (3, 2.0), (0, 0.5)]);
        assert_eq!(top_k(&values, 9, |_, value| value > 0.0), [(1, 2.0), (3, 2.0), (0, 0.5)]);
        assert!(top_k(&values, 0, |_, _| true).is_empty());
        assert!(top_k(&[], 3, |_, _| true).is_empty());
    }

    #[test]
    fn they_are_those_of_a_whole_sort_and_take_little_room() {
        let values: Vec<f32> = (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 22) as f32).collect();
        for k in [1, 2, 7, 100, 2499, 2500, 4999, 5000, 6000] {
            let mut all: Vec<(u32, f32)> = (0u32..).zip(values.iter().copied()).filter(|(n, _)| n % 3 != 0).collect();
            all.sort_by(|one, other| by_value(*one, *other));
            all.truncate(k);
            let found = top_k(&values, k, |index, _| index % 3 != 0);
            assert_eq!(found, all, "{k}");
            assert!(found.capacity() <= 2 * k);
        }
    }
}
