//! Which points of a layout belong together: HDBSCAN (Campello, Moulavi and Sander 2013), by the crate of that name.

use hdbscan::{Hdbscan, HdbscanHyperParams};

use super::start::Point;
use crate::{Error, ErrorKind, Result};

/// How many points, itself counted, have to be near a point for its surroundings to be dense.
const NEAR: usize = 5;

/// The cluster of each point, if it is in one, of those with at least `smallest` points. The largest is number 0; of equal
/// ones the one whose first point comes first.
pub(super) fn clusters(points: &[Point], smallest: usize) -> Result<Vec<Option<u32>>> {
    let smallest = smallest.max(2);
    // The crate counts on more points than it looks at, and one cluster alone is none.
    if points.len() < (2 * smallest).max(NEAR + 1) {
        return Ok(vec![None; points.len()]);
    }
    let rows: Vec<Vec<f32>> = points.iter().map(|point| point.to_vec()).collect();
    let parameters = HdbscanHyperParams::builder().min_cluster_size(smallest).min_samples(NEAR).build();
    let labels = Hdbscan::new(&rows, parameters).cluster();
    let labels = labels.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).within("clusters"))?;
    Ok(renumber(&labels))
}

/// Labels below 0 mean none.
fn renumber(labels: &[i32]) -> Vec<Option<u32>> {
    let count = labels.iter().max().map_or(0, |most| usize::try_from(most + 1).unwrap_or_default());
    // How many points, the first of them, and the label.
    let mut found: Vec<(usize, usize, usize)> = (0..count).map(|label| (0, usize::MAX, label)).collect();
    let place = |label: &i32| usize::try_from(*label).ok();
    for (point, label) in labels.iter().enumerate() {
        if let Some((size, first, _)) = place(label).and_then(|label| found.get_mut(label)) {
            *size += 1;
            *first = point.min(*first);
        }
    }
    found.sort_unstable_by_key(|(size, first, _)| (std::cmp::Reverse(*size), *first));
    let mut numbers = vec![None; count];
    for (number, (_, _, label)) in (0u32..).zip(found) {
        if let Some(own) = numbers.get_mut(label) {
            *own = Some(number);
        }
    }
    labels.iter().map(|label| place(label).and_then(|label| numbers.get(label).copied().flatten())).collect()
}

#[cfg(test)]
mod tests {
    use super::{clusters, renumber};

    #[test]
    fn larger_clusters_come_first() {
        let labels = [2, 0, -1, 1, 1, 0, 1];
        assert_eq!(renumber(&labels), [Some(2), Some(1), None, Some(0), Some(0), Some(1), Some(0)]);
        assert!(renumber(&[-1, -1]).iter().all(Option::is_none));
    }

    #[test]
    fn what_lies_together_is_a_cluster_and_what_lies_alone_is_in_none() {
        let mut points: Vec<[f32; 2]> = (0..20u8).map(|n| [0.1 * f32::from(n % 5), 0.1 * f32::from(n / 5)]).collect();
        points.extend((0..12u8).map(|n| [9.0 + 0.1 * f32::from(n % 4), 0.1 * f32::from(n / 4)]));
        points.push([4.0, 30.0]);
        let found = clusters(&points, 6).unwrap();
        assert!(found[..20].iter().all(|cluster| *cluster == Some(0)), "{found:?}");
        assert!(found[20..32].iter().all(|cluster| *cluster == Some(1)), "{found:?}");
        assert_eq!(found[32], None);
    }

    #[test]
    fn few_points_and_equal_points_are_no_trouble() {
        for count in [0, 1, 2, 5, 6, 13, 300] {
            assert_eq!(clusters(&vec![[1.0, 1.0]; count], 2).unwrap().len(), count);
        }
    }
}
