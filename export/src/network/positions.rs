//! Position tables for another grid of patches, resampled as timm does (`resample_abs_pos_embed`): bicubic with
//! antialiasing, in float32, rows of the class token left as they are.
//!
//! The filter is Pillow's, which PyTorch's `interpolate(mode="bicubic", antialias=True)` follows: Keys' cubic with
//! a = -0.5, stretched where the new grid is coarser, with weights that sum to 1 at the edges too.

use mimir_bundle::architecture::Architecture;

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How far the filter reaches, in cells of the finer grid.
const REACH: f64 = 2.0;

/// Whether dimensions are those of a table of some square grid.
pub(super) fn fit_another_grid(dims: &[usize], architecture: &Architecture) -> bool {
    matches!(dims, &[1, rows, width] if width == architecture.width && grid_of(rows, architecture).is_some())
}

/// Side of the grid of a table with so many rows.
pub(super) fn grid_of(rows: usize, architecture: &Architecture) -> Option<usize> {
    let patches = rows.checked_sub(architecture.family.prefix_tokens())?;
    Some(patches.isqrt()).filter(|side| *side > 0 && side * side == patches)
}

/// The table `[1, prefix + L, D]` for the grid of the architecture; as it is where it has that grid.
pub(super) fn resampled(table: &Tensor, architecture: &Architecture) -> Result<Tensor> {
    let (prefix, wanted) = (architecture.family.prefix_tokens(), architecture.grid());
    let rows = table.dims().get(1).copied().unwrap_or_default();
    let (Some(side), Some(values)) = (grid_of(rows, architecture), table.to_f32()) else {
        return Err(Error::shape(format!("{rows} rows are no square grid of patches")));
    };
    if side == wanted {
        return Ok(table.clone());
    }
    let width = architecture.width;
    let (kept, grid) = values.split_at(prefix * width);
    // Columns first, as PyTorch does: each sum is rounded to float32 in between.
    let weights = filter(side, wanted);
    let narrow = along(grid, &weights, [side, side, width]);
    let mut new = kept.to_vec();
    new.extend(along(&narrow, &weights, [1, side, wanted * width]));
    Ok(Tensor::from_f32(&[1, prefix + wanted * wanted, width], &new))
}

/// Applies the filter along the middle axis of `[outer, side, inner]`.
fn along(values: &[f32], weights: &[Vec<(usize, f32)>], [outer, side, inner]: [usize; 3]) -> Vec<f32> {
    let mut result = vec![0.0; outer * weights.len() * inner];
    for (row, sum) in result.chunks_mut(inner.max(1)).enumerate() {
        let (block, place) = (row / weights.len(), row % weights.len());
        for (from, weight) in &weights[place] {
            let start = (block * side + from) * inner;
            let source = &values[start..start + inner];
            sum.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    result
}

/// For each new cell the old cells that it is made of, with their weights.
fn filter(old: usize, new: usize) -> Vec<Vec<(usize, f32)>> {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let support = REACH * stretch;
    let cell = |index: usize| {
        let centre = scale * (index as f64 + 0.5);
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(old);
        let weights: Vec<f64> =
            (first..end).map(|from| cubic((from as f64 - centre + 0.5) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        (first..end).zip(weights).map(|(from, weight)| (from, (weight / sum) as f32)).collect()
    };
    (0..new).map(cell).collect()
}

/// Keys' cubic with a = -0.5.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
