//! Inputs that are far larger than the others in most rows, as some are in the residual stream of most models. Their products are
//! computed in single precision: as bytes they would leave no steps for the others.

use super::codes::{Codes, GROUP};
use super::exact::Columns;

/// Inputs that are set apart, at most. Each costs a hundredth of the products.
const MOST: usize = 16;
/// How many times the average share of a row's square an input has to have.
const OUTSTANDING: f64 = 16.0;
/// Rows that tell which inputs these are.
const SAMPLE: usize = 256;

/// The inputs that are set apart.
pub(super) fn outstanding(input: &[f32], inputs: usize) -> Vec<usize> {
    let rows = input.len() / inputs.max(1);
    let mut shares = vec![0f64; inputs];
    let sample = input.chunks_exact(inputs.max(1)).step_by(rows.div_ceil(SAMPLE).max(1));
    let mut count = 0;
    for row in sample {
        let square = |value: &f32| f64::from(*value) * f64::from(*value);
        let whole: f64 = row.iter().map(square).sum();
        if whole > 0.0 {
            shares.iter_mut().zip(row).for_each(|(share, value)| *share += square(value) / whole);
            count += 1;
        }
    }
    let least = OUTSTANDING * f64::from(count) / inputs.max(1) as f64;
    let mut found: Vec<usize> = (0..inputs).filter(|input| shares[*input] > least).collect();
    found.sort_unstable_by(|one, other| shares[*other].total_cmp(&shares[*one]));
    found.truncate(MOST);
    found
}

/// Rows and directions at these inputs.
#[derive(Debug)]
pub(super) struct Apart {
    count: usize,
    rows: Vec<f32>,
    /// In steps of each direction; group after group, of that input after input.
    directions: Vec<f32>,
}

impl Apart {
    pub(super) fn new(apart: &[usize], input: &[f32], columns: &Columns<'_>, codes: &Codes) -> Self {
        let rows = input.chunks_exact(columns.inputs.max(1));
        let rows = rows.flat_map(|row| apart.iter().map(|input| row[*input])).collect();
        let value = |input: usize, feature: usize| columns.value(input, feature) / codes.steps[feature];
        let group = |first: usize| {
            apart.iter().flat_map(move |input| (first..first + GROUP).map(move |feature| value(*input, feature)))
        };
        let directions = (0..codes.steps.len()).step_by(GROUP).flat_map(group).collect();
        Self { count: apart.len(), rows, directions }
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.count..(row + 1) * self.count]
    }

    /// A group's directions, input after input.
    pub(super) fn group(&self, group: usize) -> &[f32] {
        let size = self.count * GROUP;
        &self.directions[group * size..(group + 1) * size]
    }
}

#[cfg(test)]
mod tests {
    use super::outstanding;

    #[test]
    fn inputs_that_dwarf_the_others_are_set_apart() {
        let value = |at: usize| ((at * 7919 % 1009) as f32 / 1009.0 - 0.5) * if at % 100 == 17 { 40.0 } else { 1.0 };
        let rows: Vec<f32> = (0..100 * 300).map(value).collect();
        assert_eq!(outstanding(&rows, 100), [17]);
        assert!(outstanding(&vec![1.0; 1000], 100).is_empty());
        assert!(outstanding(&vec![0.0; 1000], 100).is_empty() && outstanding(&[], 3).is_empty());
    }
}
