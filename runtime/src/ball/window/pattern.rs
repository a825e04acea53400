//! The pattern that Square adds to a window where lengths are sums over pixels: a bump upwards above a bump downwards.
//!
//! A bump has rings around its centre, by the larger of the distances in rows and in columns. Ring `d` has the height
//! `Σ_{k ≥ d} 1 / (k + 1)^q`, with `q` 2 for L2 and 4 for L1; the largest `k` is half the side. Both bumps have the
//! same length, and the whole pattern has length one.

use super::length::Length;

/// The pattern of one side length. Made anew when the side changes, a handful of times in a search.
#[derive(Debug)]
pub(super) struct Pattern {
    side: usize,
    /// `[side, side]`.
    values: Vec<f32>,
    /// Height of each ring, from the centre outwards.
    rings: Vec<f64>,
}

impl Pattern {
    /// No pattern yet, with room for sides up to that one.
    pub(super) fn with_room_for(side: usize) -> Self {
        Self { side: 0, values: Vec::with_capacity(side * side), rings: Vec::with_capacity(side / 2 + 1) }
    }

    /// Becomes the pattern of that side, at least 1.
    pub(super) fn set_side(&mut self, side: usize, length: Length) {
        if side == self.side {
            return;
        }
        self.side = side;
        self.set_rings(length);
        self.values.clear();
        self.values.resize(side * side, 0.0);
        // A single pixel has only the lower bump.
        let bumps = if side > 1 { 2.0 } else { 1.0 };
        let height = 1.0 / length.of_sum(bumps);
        let (upper, lower) = self.values.split_at_mut(side / 2 * side);
        fill_bump(upper, side, &self.rings, height, length);
        fill_bump(lower, side, &self.rings, -height, length);
    }

    fn set_rings(&mut self, length: Length) {
        let power = match length {
            Length::Euclidean => 2,
            Length::Absolute => 4,
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

/// A bump on whole rows of `side` pixels, of length `|height|` and of its sign. No rows: nothing.
fn fill_bump(bump: &mut [f32], side: usize, rings: &[f64], height: f64, length: Length) {
    let middle = bump.len() / side / 2;
    let ring_at = |index: usize| {
        let (row, column) = (index / side, index % side);
        rings[row.abs_diff(middle).max(column.abs_diff(side / 2))]
    };
    let sum: f64 = (0..bump.len()).map(|index| length.term(ring_at(index))).sum();
    let scale = height / length.of_sum(sum);
    for (index, value) in bump.iter_mut().enumerate() {
        *value = (ring_at(index) * scale) as f32;
    }
}
