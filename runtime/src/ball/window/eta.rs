//! The pattern η that Square adds to a window for L2 and L1 (section 4.2 of the paper): a pyramid upwards above a
//! pyramid downwards.
//!
//! A pyramid is made of square rings around its centre; the ring of a pixel is the larger of its distances in rows and
//! in columns. Ring `d` has the height `Σ_{k ≥ d} 1 / (k + 1)^q`, with `q` 2 for L2 and 4 for L1; the largest `k` is
//! half the side. Both pyramids have the same norm, and η as a whole has norm one.

use super::summed_norm::SummedNorm;

/// The pattern of one side length. Made anew when the side changes, a handful of times in a search.
#[derive(Debug)]
pub(super) struct EtaPattern {
    side: usize,
    /// `[side, side]`.
    values: Vec<f32>,
    /// Height of each ring, from the centre outwards.
    rings: Vec<f64>,
}

impl EtaPattern {
    /// No pattern yet, with room for sides up to that one.
    pub(super) fn with_room_for(side: usize) -> Self {
        Self { side: 0, values: Vec::with_capacity(side * side), rings: Vec::with_capacity(side / 2 + 1) }
    }

    /// Becomes the pattern of that side, at least 1.
    pub(super) fn set_side(&mut self, side: usize, norm: SummedNorm) {
        if side == self.side {
            return;
        }
        self.side = side;
        self.set_rings(norm);
        self.values.clear();
        self.values.resize(side * side, 0.0);
        // A single pixel has only the lower pyramid.
        let pyramids = if side > 1 { 2.0 } else { 1.0 };
        let height = 1.0 / norm.norm_for_sum(pyramids);
        let (upper, lower) = self.values.split_at_mut(side / 2 * side);
        fill_pyramid(upper, side, &self.rings, height, norm);
        fill_pyramid(lower, side, &self.rings, -height, norm);
    }

    fn set_rings(&mut self, norm: SummedNorm) {
        let power = match norm {
            SummedNorm::Euclidean => 2,
            SummedNorm::Absolute => 4,
        };
        let count = self.side / 2 + 1;
        self.rings.clear();
        self.rings.resize(count, 0.0);
        let mut height = 0.0;
        for ring in (0..count).rev() {
            height += 1.0 / ((ring + 1) as f64).powi(power);
            self.rings[ring] = height;
        }
    }

    /// One element, with rows and columns exchanged where `transposed`.
    pub(super) fn at(&self, row: usize, column: usize, transposed: bool) -> f32 {
        let (row, column) = if transposed { (column, row) } else { (row, column) };
        self.values[row * self.side + column]
    }
}

/// A pyramid on whole rows of `side` pixels, of norm `|height|` and of its sign. No rows: nothing.
fn fill_pyramid(pyramid: &mut [f32], side: usize, rings: &[f64], height: f64, norm: SummedNorm) {
    let middle = pyramid.len() / side / 2;
    let ring_at = |index: usize| {
        let (row, column) = (index / side, index % side);
        rings[row.abs_diff(middle).max(column.abs_diff(side / 2))]
    };
    let sum: f64 = (0..pyramid.len()).map(|index| norm.term(ring_at(index))).sum();
    let scale = height / norm.norm_for_sum(sum);
    for (index, value) in pyramid.iter_mut().enumerate() {
        *value = (ring_at(index) * scale) as f32;
    }
}
