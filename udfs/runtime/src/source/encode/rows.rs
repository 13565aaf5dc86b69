//! One pass over the rows of a fresh matrix, in place and on all cores.

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor};
use rayon::prelude::*;

use crate::Result;

/// Rows that one task takes at least, so that narrow matrices are not cut into crumbs.
const SMALLEST_TASK: usize = 16 << 10;

struct EachRow<F> {
    width: usize,
    pass: F,
}

/// Runs `pass` over every row of `matrix` `[N, width]`, which nothing else holds. The matrix must be on the processor.
pub(super) fn each_row<F: Fn(&mut [f32]) + Sync>(matrix: Tensor, pass: F) -> Result<Tensor> {
    let width = matrix.dim(1)?;
    if matrix.elem_count() == 0 {
        return Ok(matrix);
    }
    let matrix = matrix.contiguous()?;
    matrix.inplace_op1(&EachRow { width, pass })?;
    Ok(matrix)
}

impl<F: Fn(&mut [f32]) + Sync> InplaceOp1 for EachRow<F> {
    fn name(&self) -> &'static str {
        "each-row"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else { candle_core::bail!("rows are in single precision") };
        let Some((start, end)) = layout.contiguous_offsets() else { candle_core::bail!("rows lie apart") };
        let Some(values) = values.get_mut(start..end) else { candle_core::bail!("rows end early") };
        let at_least = (SMALLEST_TASK / self.width).max(1);
        values.par_chunks_mut(self.width).with_min_len(at_least).for_each(&self.pass);
        Ok(())
    }
}
