//! Reading codes one after the other.

use crate::codes::{Codes, Probe};
use crate::filter::RowFilter;
use crate::walk::{Candidate, Scratch};

/// Nodes measured at a time; their distances stay in the first cache.
const BLOCK: usize = 128;

/// The `most` nearest of `nodes` by coarse distances, the nearest first.
pub(crate) fn scan<'s>(
    codes: &Codes<'_>,
    probe: Probe<'_>,
    nodes: &[u32],
    most: usize,
    scratch: &'s mut Scratch,
) -> &'s [Candidate] {
    let Scratch { pool, dots, distances, .. } = scratch;
    pool.reset(most);
    for block in nodes.chunks(BLOCK) {
        codes.coarse(probe, block, dots, distances);
        block.iter().zip(&*distances).for_each(|(&node, &distance)| pool.offer(node, distance));
    }
    pool.candidates()
}

/// The nodes whose rows are in `filter`, ascending. `rows` are ascending.
pub(super) fn allowed_nodes(rows: &[u32], filter: &RowFilter) -> Vec<u32> {
    if filter.len() > rows.len() / 32 {
        let allowed = |&(_, &row): &(usize, &u32)| filter.contains(row);
        return rows.iter().enumerate().filter(allowed).map(|(node, _)| node as u32).collect();
    }
    let mut from = 0;
    let find = |row: u32| {
        from += rows[from..].partition_point(|&other| other < row);
        (rows.get(from) == Some(&row)).then_some(from as u32)
    };
    filter.rows().filter_map(find).collect()
}
