//! The largest of many values, in one order everywhere: larger first, then the lower index.

use std::cmp::Ordering;

/// Larger values first; equal ones by index. NaN comes last.
pub(super) fn by_value(one: (u32, f32), other: (u32, f32)) -> Ordering {
    let key = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
    key(other.1).total_cmp(&key(one.1)).then(one.0.cmp(&other.0))
}

/// The `k` largest of `values` that `keep` lets through, with their indices, largest first.
pub(crate) fn top_k(values: &[f32], k: usize, keep: impl Fn(u32, f32) -> bool) -> Vec<(u32, f32)> {
    let mut kept: Vec<(u32, f32)> =
        (0u32..).zip(values.iter().copied()).filter(|(index, value)| keep(*index, *value)).collect();
    if k == 0 {
        return Vec::new();
    }
    if kept.len() > k {
        kept.select_nth_unstable_by(k - 1, |one, other| by_value(*one, *other));
        kept.truncate(k);
    }
    kept.sort_unstable_by(|one, other| by_value(*one, *other));
    kept
}

#[cfg(test)]
mod tests {
    use super::top_k;

    #[test]
    fn the_largest_come_first_and_equals_by_index() {
        let values = [0.5, 2.0, f32::NAN, 2.0, -1.0];
        assert_eq!(top_k(&values, 3, |_, _| true), [(1, 2.0), (3, 2.0), (0, 0.5)]);
        assert_eq!(top_k(&values, 9, |_, value| value > 0.0), [(1, 2.0), (3, 2.0), (0, 0.5)]);
        assert!(top_k(&values, 0, |_, _| true).is_empty());
    }
}
