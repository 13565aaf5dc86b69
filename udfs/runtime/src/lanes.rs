//! Sums that are kept in lanes, so that the processor adds many at a time.

/// The sum of the lanes, by halves: always in the same order, and with less error than one after the other.
#[inline(always)]
pub(crate) fn fold<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}
