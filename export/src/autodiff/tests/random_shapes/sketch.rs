//! What a row builds its node with: the input, and random choices that fit it.

use super::Case;
use crate::autodiff::testing::{Domain, Numbers};
use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::Tensor;

/// The input of a random case, and a source of random choices.
pub(super) struct Sketch<'a, 'g> {
    pub(super) builder: &'a mut Builder<'g>,
    pub(super) x: ValueId,
    /// Sizes of the input; the first is the size of the batch where it has one.
    pub(super) dims: Vec<usize>,
    /// Whether the first axis is the batch, which no operator may mix.
    pub(super) is_batched: bool,
    numbers: Numbers,
}

impl<'a, 'g> Sketch<'a, 'g> {
    pub(super) fn new(builder: &'a mut Builder<'g>, x: ValueId, case: &Case) -> Self {
        let (dims, is_batched) = (case.dims.clone(), case.is_batched);
        Self { builder, x, dims, is_batched, numbers: Numbers::new(case.seed) }
    }

    /// A number below `count`, which is positive.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.numbers.uniform() * count as f32) as usize).min(count - 1)
    }

    /// Zero or one.
    pub(super) fn flag(&mut self) -> i64 {
        self.below(2) as i64
    }

    /// One of those.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The axes that an operator may mix: all but the batch.
    fn free(&self) -> Vec<usize> {
        (usize::from(self.is_batched)..self.dims.len()).collect()
    }

    /// The axis as ONNX may write it: from the front or from the back.
    pub(super) fn signed(&mut self, axis: usize) -> i64 {
        let rank = self.dims.len() as i64;
        if self.flag() == 1 { axis as i64 - rank } else { axis as i64 }
    }

    /// An axis that an operator may mix, from either end, and its size; `None` where there is only the batch.
    pub(super) fn axis(&mut self) -> Option<(i64, usize)> {
        let free = self.free();
        if free.is_empty() {
            return None;
        }
        let axis = self.one_of(&free);
        Some((self.signed(axis), self.dims[axis]))
    }

    /// Any of the axes that an operator may mix, from either end; none of them now and then.
    pub(super) fn axes(&mut self) -> Vec<i64> {
        let mut axes = Vec::new();
        for axis in self.free() {
            if self.flag() == 1 {
                axes.push(self.signed(axis));
            }
        }
        axes
    }

    /// A constant of that shape.
    pub(super) fn constant(&mut self, domain: Domain, dims: &[usize]) -> ValueId {
        let count = dims.iter().product();
        let values = match domain {
            // Even multiples of an eighth, which do not tie with the odd ones of the input.
            Domain::Distinct => {
                self.numbers.draw(Domain::Real, count).iter().map(|x| (x * 4.0).round() / 4.0).collect()
            }
            _ => self.numbers.draw(domain, count),
        };
        self.builder.constant(Tensor::from_f32(dims, &values))
    }

    /// Sizes that broadcast with the input without stretching it: some ones, some leading axes left out.
    pub(super) fn narrower(&mut self) -> Vec<usize> {
        let start = self.below(self.dims.len() + 1);
        let mut dims = self.dims[start..].to_vec();
        for (axis, dim) in dims.iter_mut().enumerate() {
            let is_batch = self.is_batched && start + axis == 0;
            if is_batch || self.below(3) == 0 {
                *dim = 1;
            }
        }
        dims
    }

    /// Sizes that broadcast with the input, which may stretch it.
    pub(super) fn broadcastable(&mut self) -> Vec<usize> {
        let mut dims = self.narrower();
        let start = self.dims.len() - dims.len();
        for (axis, dim) in dims.iter_mut().enumerate() {
            let is_batch = self.is_batched && start + axis == 0;
            if self.dims[start + axis] == 1 && !is_batch && self.below(2) == 0 {
                *dim = 3;
            }
        }
        dims
    }

    /// A partner of the input in a broadcasting operator: a constant, or the input itself, halved and perhaps summed.
    pub(super) fn partner(&mut self, domain: Domain) -> Result<ValueId> {
        if self.flag() == 0 {
            let dims = self.broadcastable();
            return Ok(self.constant(domain, &dims));
        }
        let half = self.builder.scalar(0.5);
        let halved = self.builder.op("Mul", &[self.x, half])?;
        match (domain, self.axis()) {
            // A mean of distinct numbers may tie with one of them.
            (Domain::Distinct, _) | (_, None) => Ok(halved),
            (_, Some((axis, _))) => {
                let axes = self.builder.ints(&[axis]);
                self.builder.op_with("ReduceMean", &[halved, axes], [("keepdims", 1.into())])
            }
        }
    }
}
