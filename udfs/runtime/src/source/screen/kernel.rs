//! Products of rows of bytes with a group of directions: nearly all the work of a screening.
//!
//! Written by hand, because no portable form of "multiply bytes and add four products" reaches the instruction that does it. There is
//! a form for AVX-512 VNNI, which does four times the work of the same registers in single precision. AVX2 would do about as
//! much as in single precision, which gives the values themselves; so it has no form.

use std::ops::Range;

use super::codes::{Codes, GROUP, Rows};

/// A form of the loops that this processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
    #[cfg(test)]
    Plain,
}

/// Only made where the processor has the instructions.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vnni(());

impl Kernel {
    /// The fast form, where there is one. Tests make do with the plain one.
    pub(super) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let vnni = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
            if vnni {
                return Some(Self::Vnni(Vnni(())));
            }
        }
        #[cfg(test)]
        return Some(Self::Plain);
        #[cfg(not(test))]
        None
    }

    /// Products of some rows with a group's directions, row after row.
    pub(super) fn products(
        self,
        rows: &Rows,
        span: Range<usize>,
        codes: &Codes,
        group: usize,
        products: &mut Vec<i32>,
    ) {
        products.resize(span.len() * GROUP, 0);
        let (directions, starts) = (codes.group(group), &codes.starts[group * GROUP..(group + 1) * GROUP]);
        match self {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: this form is only made where the processor has the instructions.
            Self::Vnni(_) => unsafe { x86::products(rows, span, directions, starts, products) },
            #[cfg(test)]
            Self::Plain => plain(rows, span, directions, starts, products),
        }
    }
}

#[cfg(test)]
fn plain(rows: &Rows, span: Range<usize>, directions: &[i8], starts: &[i32], products: &mut [i32]) {
    use super::codes::QUAD;
    for (row, products) in span.zip(products.chunks_exact_mut(GROUP)) {
        products.copy_from_slice(starts);
        for (row, directions) in rows.row(row).chunks_exact(QUAD).zip(directions.chunks_exact(QUAD * GROUP)) {
            for (product, direction) in products.iter_mut().zip(directions.chunks_exact(QUAD)) {
                *product += row.iter().zip(direction).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use super::super::codes::{GROUP, QUAD, Rows};

    /// Products that a register holds, and registers of a group.
    const LANES: usize = 16;
    const REGISTERS: usize = GROUP / LANES;
    /// Rows at a time: their sums, the directions and a row's quad fill the 32 registers.
    const TILE: usize = 6;

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn products(rows: &Rows, span: Range<usize>, group: &[i8], starts: &[i32], products: &mut [i32]) {
        let mut row = span.start;
        for products in products.chunks_mut(TILE * GROUP) {
            match span.end - row {
                1 => tile::<1>(rows, row, group, starts, products),
                2 => tile::<2>(rows, row, group, starts, products),
                3 => tile::<3>(rows, row, group, starts, products),
                4 => tile::<4>(rows, row, group, starts, products),
                5 => tile::<5>(rows, row, group, starts, products),
                _ => tile::<TILE>(rows, row, group, starts, products),
            }
            row += TILE;
        }
    }

    // Loops and no iterators: code that is called through the standard library is not compiled for these instructions.
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn tile<const ROWS: usize>(rows: &Rows, first: usize, group: &[i8], starts: &[i32], products: &mut [i32]) {
        let mut at = [std::ptr::null::<u8>(); ROWS];
        let mut row = 0;
        while row < ROWS {
            let bytes = rows.row(first + row);
            assert!(bytes.len() * GROUP == group.len(), "a direction is as long as a row");
            at[row] = bytes.as_ptr();
            row += 1;
        }
        assert!(starts.len() == GROUP && products.len() == ROWS * GROUP, "a tile has its place");
        let mut sums = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
        let mut directions = [_mm512_setzero_si512(); REGISTERS];
        for sums in &mut sums {
            for (register, sum) in sums.iter_mut().enumerate() {
                #[allow(unsafe_code)]
                // SAFETY: there are as many starts as lanes in all registers. Loads need no alignment, here and below.
                let start = unsafe { _mm512_loadu_si512(starts.as_ptr().add(register * LANES).cast()) };
                *sum = start;
            }
        }
        for quad in 0..group.len() / (GROUP * QUAD) {
            for (register, direction) in directions.iter_mut().enumerate() {
                #[allow(unsafe_code)]
                // SAFETY: a group has whole quads of all directions, and each register is 16 quads.
                let bytes =
                    unsafe { _mm512_loadu_si512(group.as_ptr().add((quad * GROUP + register * LANES) * QUAD).cast()) };
                *direction = bytes;
            }
            for row in 0..ROWS {
                #[allow(unsafe_code)]
                // SAFETY: a row has as many quads as a group has of each direction.
                let bytes = unsafe { at[row].add(quad * QUAD).cast::<i32>().read_unaligned() };
                let bytes = _mm512_set1_epi32(bytes);
                for register in 0..REGISTERS {
                    sums[row][register] = _mm512_dpbusd_epi32(sums[row][register], bytes, directions[register]);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (register, sum) in sums.iter().enumerate() {
                #[allow(unsafe_code)]
                // SAFETY: there is a place for every lane of every register of every row.
                unsafe {
                    let place = products.as_mut_ptr().add(row * GROUP + register * LANES);
                    _mm512_storeu_si512(place.cast(), *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::{Codes, GROUP, Rows};
    use super::super::exact::with_columns;
    use super::Kernel;

    #[test]
    fn both_forms_give_the_products_of_the_bytes() {
        let Some(kernel) = Kernel::detect() else { return };
        let device = candle_core::Device::Cpu;
        for (inputs, count) in [(1, 1), (4, 64), (7, 65), (130, 200)] {
            let weights = candle_core::Tensor::randn(0f32, 1.0, (inputs, count), &device).unwrap();
            let codes = with_columns(&weights, Codes::new).unwrap().unwrap();
            let values = candle_core::Tensor::randn(0f32, 1.0, inputs * 20, &device).unwrap().to_vec1().unwrap();
            let rows = Rows::new(&values, inputs, &[]);
            for span in [0..20, 3..4, 5..10, 0..6, 7..20, 9..9] {
                for group in 0..count.div_ceil(GROUP) {
                    let (mut found, mut expected) = (Vec::new(), Vec::new());
                    kernel.products(&rows, span.clone(), &codes, group, &mut found);
                    Kernel::Plain.products(&rows, span.clone(), &codes, group, &mut expected);
                    assert_eq!(found, expected, "{inputs} inputs, rows {span:?}");
                }
            }
        }
    }
}
