//! Inner products of rows of bytes: nearly all the work of a search.
//!
//! Written by hand, because no portable form of "multiply bytes and add four products" reaches the instructions that do it:
//! AVX-512 VNNI, or AVX2. Elsewhere a plain loop, of which the compiler makes NEON code on ARM. Sums of integers have no
//! order, so every form gives the same result.

/// Rows are padded with zeros to a multiple of this many bytes: a cache line, and the widest register.
pub(crate) const ROW_ALIGN: usize = 64;

/// A form of the loops. Chosen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simd {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

impl Simd {
    /// The fastest form that this processor runs.
    pub(crate) fn detect() -> Self {
        Self::available().next().unwrap_or(Self::Plain)
    }

    /// All forms that this processor runs, the fastest first.
    fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let fast = {
            let vnni = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
            let vnni = (vnni && is_x86_feature_detected!("avx512bw")).then_some(Self::Vnni);
            vnni.into_iter().chain(is_x86_feature_detected!("avx2").then_some(Self::Avx2))
        };
        #[cfg(not(target_arch = "x86_64"))]
        let fast = std::iter::empty();
        fast.chain([Self::Plain])
    }

    /// The inner product of `query` with each row that `nodes` names, appended to `dots`.
    ///
    /// `query` is as long as a row, whose length is a multiple of [`ROW_ALIGN`], and its values are not -128. Panics where a
    /// row is not in `rows`.
    pub(crate) fn dots(self, query: &[i8], rows: &[i8], nodes: &[u32], dots: &mut Vec<i32>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: this form is only made where the processor has the instructions.
            Self::Vnni => unsafe { x86::dots_vnni(query, rows, nodes, dots) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: as above.
            Self::Avx2 => unsafe { x86::dots_avx2(query, rows, nodes, dots) },
            Self::Plain => dots.extend(nodes.iter().map(|&node| dot_plain(query, row(rows, query.len(), node)))),
        }
    }
}

/// The row of a node.
#[inline(always)]
fn row(rows: &[i8], stride: usize, node: u32) -> &[i8] {
    let start = node as usize * stride;
    &rows[start..start + stride]
}

fn dot_plain(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Asks the processor to fetch a row, which is needed soon. Does nothing where there is no such row or instruction.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T], start: usize, end: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(row) = values.get(start..end) {
        let bytes = row.as_ptr().cast::<i8>();
        for line in (0..size_of_val(row)).step_by(64) {
            #[allow(unsafe_code)]
            // SAFETY: a prefetch changes nothing that a program sees, and SSE is part of the architecture.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(line));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, start, end);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ROW_ALIGN, row};

    // Loops and no iterators: code that is called through the standard library is not compiled for these instructions, and
    // is not inlined here.

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn dots_vnni(query: &[i8], rows: &[i8], nodes: &[u32], dots: &mut Vec<i32>) {
        dots.reserve(nodes.len());
        for &node in nodes {
            dots.push(dot_vnni(query, row(rows, query.len(), node)));
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dots_avx2(query: &[i8], rows: &[i8], nodes: &[u32], dots: &mut Vec<i32>) {
        dots.reserve(nodes.len());
        for &node in nodes {
            dots.push(dot_avx2(query, row(rows, query.len(), node)));
        }
    }

    /// The instruction multiplies unsigned by signed bytes: `a` is lifted by 128, and 128 times the sum of `b` taken off.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn dot_vnni(a: &[i8], b: &[i8]) -> i32 {
        let lift = _mm512_set1_epi8(-128);
        let (mut lifted, mut excess) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let (length, mut at) = (a.len().min(b.len()), 0);
        while at + ROW_ALIGN <= length {
            #[allow(unsafe_code)]
            // SAFETY: as many bytes as a register has follow `at` in both, and the loads need no alignment.
            let (a, b) = unsafe {
                (_mm512_loadu_si512(a.as_ptr().add(at).cast()), _mm512_loadu_si512(b.as_ptr().add(at).cast()))
            };
            lifted = _mm512_dpbusd_epi32(lifted, _mm512_xor_si512(a, lift), b);
            excess = _mm512_dpbusd_epi32(excess, lift, b);
            at += ROW_ALIGN;
        }
        _mm512_reduce_add_epi32(_mm512_sub_epi32(lifted, excess))
    }

    /// `|a| · (b with the sign of a)`: pairs of products of values from -127 to 127 fit 16 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn dot_avx2(a: &[i8], b: &[i8]) -> i32 {
        const WIDTH: usize = 32;
        let ones = _mm256_set1_epi16(1);
        let mut sums = _mm256_setzero_si256();
        let (length, mut at) = (a.len().min(b.len()), 0);
        while at + WIDTH <= length {
            #[allow(unsafe_code)]
            // SAFETY: as above.
            let (a, b) = unsafe {
                (_mm256_loadu_si256(a.as_ptr().add(at).cast()), _mm256_loadu_si256(b.as_ptr().add(at).cast()))
            };
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, ones));
            at += WIDTH;
        }
        let half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let quarter = _mm_add_epi32(half, _mm_shuffle_epi32::<0b00_00_11_10>(half));
        _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32::<0b00_00_00_01>(quarter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_same_products() {
        for stride in [64, 128, 384, 768] {
            let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8 as i8;
            let rows: Vec<i8> = (0..stride * 50).map(|i| value(i).max(-127)).collect();
            let extreme: Vec<i8> = (0..stride).map(|i| if i % 3 == 0 { -127 } else { 127 }).collect();
            for query in [&rows[..stride], &extreme] {
                let nodes: Vec<u32> = (0..50).rev().collect();
                let mut expected = Vec::new();
                Simd::Plain.dots(query, &rows, &nodes, &mut expected);
                for simd in Simd::available() {
                    let mut found = Vec::new();
                    simd.dots(query, &rows, &nodes, &mut found);
                    assert_eq!(found, expected, "{simd:?} at {stride}");
                }
            }
        }
    }

    #[test]
    fn the_largest_products_fit() {
        let row = vec![-127i8; 4096];
        for simd in Simd::available() {
            let mut found = Vec::new();
            simd.dots(&row, &row, &[0], &mut found);
            assert_eq!(found, [127 * 127 * 4096], "{simd:?}");
        }
    }

    #[test]
    fn fetching_ahead_past_the_end_does_nothing() {
        prefetch(&[0u32; 4], 2, 9);
        prefetch(&[0u32; 4], 9, 2);
    }
}
