//! A multi-head attention that was recognised, and in which form it is written.

use crate::error::Result;
use crate::graph::{Builder, Dim, Shape, ValueId};

/// How attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttentionForm {
    /// By products and a Softmax.
    Standard,
    /// By our kernel, where it is faster.
    Kernel,
}

/// Query, key or value: `heads` products of the tokens `x` `[N, T, D]`, each `[N, T, d]`.
pub(super) struct Projection {
    pub(super) x: ValueId,
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// `d`.
    pub(super) width: usize,
    /// `[D, H·d]`.
    pub(super) weights: Vec<f64>,
    /// `[H·d]`.
    pub(super) bias: Vec<f64>,
}

impl Projection {
    pub(super) fn scaled(mut self, scale: f64) -> Self {
        self.weights.iter_mut().chain(&mut self.bias).for_each(|value| *value *= scale);
        self
    }

    /// The matrices of the heads one after the other, `[H, D, d]`.
    pub(super) fn stack(&self) -> Vec<f64> {
        let columns = self.heads * self.width;
        let rows = |head: usize| {
            self.weights
                .chunks_exact(columns)
                .flat_map(move |row| row[head * self.width..(head + 1) * self.width].iter().copied())
        };
        (0..self.heads).flat_map(rows).collect()
    }
}

/// `softmax(q·kᵀ)·v` of each head, concatenated over the heads.
pub(super) struct Attention {
    pub(super) name: String,
    pub(super) query: Projection,
    pub(super) key: Projection,
    pub(super) value: Projection,
    /// The output, `[N, T, H·d]`.
    pub(super) context: ValueId,
}

/// Appends a Reshape.
pub(super) fn reshape(builder: &mut Builder<'_>, value: ValueId, dims: Vec<Dim>) -> Result<ValueId> {
    let target = builder.ints(&Shape(dims).reshape_target()?);
    builder.op("Reshape", &[value, target])
}
