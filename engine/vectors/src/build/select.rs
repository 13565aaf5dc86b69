//! Which candidates a node is linked to.

use crate::codes::{Codes, Dots};
use crate::walk::Candidate;

/// How many links are compared at a time; most candidates fail against the first few.
const AT_ONCE: usize = 8;

/// HNSW's heuristic: from the nearest candidate on, one is taken if it is nearer to the node than to all taken before, so
/// that links go in many directions. `candidates` are sorted; at most `most` are taken, into `chosen`.
pub(super) fn select(codes: &Codes<'_>, candidates: &[Candidate], most: usize, chosen: &mut Vec<u32>) {
    let (mut dots, mut distances) = (Dots::default(), Vec::new());
    chosen.clear();
    for candidate in candidates {
        if chosen.len() == most {
            break;
        }
        let probe = codes.probe(candidate.node);
        let covered = chosen.chunks(AT_ONCE).any(|some| {
            codes.coarse(probe, some, &mut dots, &mut distances);
            distances.iter().any(|&distance| distance < candidate.distance)
        });
        if !covered {
            chosen.push(candidate.node);
        }
    }
}
