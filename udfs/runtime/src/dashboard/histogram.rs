//! Histograms of equal bars, as `torch.histc` makes them.

/// Bars of equal width between the smallest and the largest value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Middle of each bar.
    pub centres: Vec<f32>,
    /// Values in each bar.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Of `values`, in `bars` bars; none if there are no values. Where all values are equal, they are in the middle
    /// bar, and all centres are that value: `torch.histc` widens its range then, and SAEDashboard labels bars by the
    /// range that it had.
    pub fn new(values: impl Iterator<Item = f32> + Clone, bars: usize) -> Self {
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for value in values.clone() {
            least = least.min(value);
            most = most.max(value);
        }
        if !(least.is_finite() && most.is_finite()) || bars == 0 {
            return Self::default();
        }
        let (from, to) = if least == most { (least - 1.0, most + 1.0) } else { (least, most) };
        let mut counts = vec![0; bars];
        for value in values {
            let bar = ((value - from) / (to - from) * bars as f32) as usize;
            if let Some(count) = counts.get_mut(bar.min(bars - 1)) {
                *count += 1;
            }
        }
        let edge = |bar: usize| f64::from(least) + (f64::from(most) - f64::from(least)) * bar as f64 / bars as f64;
        let centres = (0..bars).map(|bar| ((edge(bar) + edge(bar + 1)) / 2.0) as f32).collect();
        Self { centres, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn the_largest_value_is_in_the_last_bar() {
        let found = Histogram::new([1.0f32, 2.0, 2.9, 3.0].into_iter(), 4);
        assert_eq!(found.counts, [1, 0, 1, 2]);
        assert_eq!(found.centres, [1.25, 1.75, 2.25, 2.75]);
    }

    #[test]
    fn equal_values_and_none() {
        let equal = Histogram::new([2.0f32; 3].into_iter(), 4);
        assert_eq!((equal.counts, equal.centres), (vec![0, 0, 3, 0], vec![2.0; 4]));
        assert_eq!(Histogram::new(std::iter::empty(), 4), Histogram::default());
    }
}
