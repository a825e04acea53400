//! The phases of an image: the elements `s·i + f` of each axis with stride `s`, for `f` below `s`.
//!
//! Windows that move by `s` read, at one kernel offset, a shifted part of one phase. SpaceToDepth separates the phases
//! (5.9 ms for 8 × 64 × 112 × 112 elements in ONNX Runtime 1.32, one thread; nine strided Slices of them take 42, a
//! Transpose 29) and DepthToSpace joins them. rten 0.27 lacks SpaceToDepth, which is one Reshape, Transpose and
//! Reshape.

use super::broadcast::reshape;
use super::ledger;
use super::window::Axis;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Dim, Shape, ValueId};

/// Images `[N, C, …]` and the windows that slide over them.
pub(super) struct Phases {
    shape: Shape,
    channels: usize,
    axes: Vec<Axis>,
}

/// Where a kernel offset lies: element `o + shift` of a phase for window `o`.
pub(super) struct KernelOffset {
    /// Number of the phase, row-major.
    pub(super) phase: usize,
    /// For each spatial axis.
    shifts: Vec<i64>,
}

impl Phases {
    /// The phases of a tensor of that shape.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the number of channels depends on the batch.
    pub(super) fn new(shape: &Shape, axes: &[Axis]) -> Result<Self> {
        let channels = shape.0.get(1).and_then(|dim| dim.fixed());
        let channels = channels
            .ok_or_else(|| Error::unsupported(format!("the channels of {shape} depend on the batch")))?;
        Ok(Self { shape: shape.clone(), channels, axes: axes.to_vec() })
    }

    /// Number of phases.
    pub(super) fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.stride as usize).product()
    }

    /// Elements of a phase along each axis; where the stride leaves a rest, it is filled up.
    fn lengths(&self) -> Vec<i64> {
        self.axes.iter().map(|axis| (axis.input + axis.stride - 1) / axis.stride).collect()
    }

    /// The kernel offsets in row-major order, without those at which every window reads padding.
    pub(super) fn kernel_offsets(&self) -> Vec<KernelOffset> {
        let start = KernelOffset { phase: 0, shifts: Vec::new() };
        self.axes.iter().zip(self.lengths()).fold(vec![start], |found, (axis, length)| {
            let inside = move |shift: i64| shift < length && shift + axis.output > 0;
            let offsets = (0..axis.kernel).map(|k| axis.dilation * k - axis.begin);
            let own: Vec<(usize, i64)> = offsets
                .map(|at| (at.rem_euclid(axis.stride) as usize, at.div_euclid(axis.stride)))
                .filter(|(_, shift)| inside(*shift))
                .collect();
            let longer = |offset: &KernelOffset| -> Vec<KernelOffset> {
                let with = |(phase, shift): &(usize, i64)| KernelOffset {
                    phase: offset.phase * axis.stride as usize + phase,
                    shifts: [&offset.shifts[..], &[*shift]].concat(),
                };
                own.iter().map(with).collect()
            };
            found.iter().flat_map(longer).collect()
        })
    }

    /// All phases of `x` side by side on the channel axis, `[N, phases·C, …]`.
    pub(super) fn separate(&self, builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
        if self.count() == 1 {
            return Ok(x);
        }
        let x = pad(builder, x, &self.rest(), f32::MIN)?;
        match self.block() {
            Some(block) => builder.op_with("SpaceToDepth", &[x], [("blocksize", block.into())]),
            None => {
                let split = reshape(builder, x, &self.split_shape(&self.shape.0[..2]))?; // [N, C, l₁, s₁, …]
                let spatial = self.axes.len() as i64;
                let (lengths, strides) =
                    ((0..spatial).map(|axis| 2 + 2 * axis), (0..spatial).map(|axis| 3 + 2 * axis));
                let order = [0].into_iter().chain(strides).chain([1]).chain(lengths).collect();
                let apart = transpose(builder, split, order)?; // [N, s₁, …, C, l₁, …]
                reshape(builder, apart, &self.separated_shape())
            }
        }
    }

    /// The elements at one kernel offset, one for each window; the lowest number where a window reads padding.
    pub(super) fn read(
        &self,
        builder: &mut Builder<'_>,
        separated: ValueId,
        offset: &KernelOffset,
    ) -> Result<ValueId> {
        let (phase, channels) = (offset.phase as i64, self.channels as i64);
        let others = [-phase * channels, (phase + 1 - self.count() as i64) * channels];
        let pads = [vec![[0, 0], others], self.shifted(offset, -1)].concat();
        pad(builder, separated, &pads, f32::MIN)
    }

    /// What the windows send to one kernel offset, in its place in the phase; zero elsewhere.
    pub(super) fn write(
        &self,
        builder: &mut Builder<'_>,
        part: ValueId,
        offset: &KernelOffset,
    ) -> Result<ValueId> {
        pad(builder, part, &[vec![[0, 0], [0, 0]], self.shifted(offset, 1)].concat(), 0.0)
    }

    /// The image of these phases, of which at least one is there; an absent one is zero.
    pub(super) fn join(&self, builder: &mut Builder<'_>, phases: &[Option<ValueId>]) -> Result<ValueId> {
        let joined = self.side_by_side(builder, phases)?;
        if self.count() == 1 {
            return Ok(joined);
        }
        let image = match self.block() {
            Some(block) => builder.op_with("DepthToSpace", &[joined], [("blocksize", block.into())])?,
            None => self.interleave(builder, joined)?,
        };
        let crop: Vec<[i64; 2]> = self.rest().iter().map(|[begin, end]| [-begin, -end]).collect();
        pad(builder, image, &crop, 0.0)
    }

    /// One Concat on the channel axis, with zeros for absent phases.
    fn side_by_side(&self, builder: &mut Builder<'_>, phases: &[Option<ValueId>]) -> Result<ValueId> {
        let mut parts = Vec::new();
        let mut absent = 0;
        let present = phases.iter().rposition(Option::is_some);
        for (index, phase) in phases.iter().enumerate() {
            let Some(phase) = phase else {
                absent += 1;
                continue;
            };
            let after = if Some(index) == present { phases.len() - 1 - index } else { 0 };
            let zeros = [absent * self.channels, after * self.channels];
            parts.push(ledger::pad(builder, *phase, self.shape.rank(), 1, zeros)?);
            absent = 0;
        }
        match parts[..] {
            [part] => Ok(part),
            _ => builder.op_with("Concat", &parts, [("axis", 1.into())]),
        }
    }

    fn interleave(&self, builder: &mut Builder<'_>, joined: ValueId) -> Result<ValueId> {
        let spatial = self.axes.len();
        let strides = self.axes.iter().map(|axis| Dim::Fixed(axis.stride as usize));
        let lengths = self.lengths().into_iter().map(|length| Dim::Fixed(length as usize));
        let apart = [self.shape.0[0]].into_iter().chain(strides).chain([self.shape.0[1]]).chain(lengths);
        let apart = reshape(builder, joined, &Shape(apart.collect()))?; // [N, s₁, …, C, l₁, …]
        let pairs = (0..spatial).flat_map(|axis| [2 + spatial + axis, 1 + axis]);
        let order = [0, 1 + spatial].into_iter().chain(pairs).map(|axis| axis as i64).collect();
        let split = transpose(builder, apart, order)?; // [N, C, l₁, s₁, …]
        let filled =
            self.axes.iter().zip(self.lengths()).map(|(axis, length)| (axis.stride * length) as usize);
        let filled = filled.map(Dim::Fixed).collect::<Vec<Dim>>();
        reshape(builder, split, &Shape([&self.shape.0[..2], &filled].concat()))
    }

    /// The block size with which SpaceToDepth separates the phases.
    fn block(&self) -> Option<i64> {
        match self.axes[..] {
            [rows, columns] if rows.stride == columns.stride => Some(rows.stride),
            _ => None,
        }
    }

    /// Pads that fill the axes up to whole blocks.
    fn rest(&self) -> Vec<[i64; 2]> {
        let rests =
            self.axes.iter().zip(self.lengths()).map(|(axis, length)| [0, axis.stride * length - axis.input]);
        [[0, 0]; 2].into_iter().chain(rests).collect()
    }

    /// Pads that move windows to elements of the phase (`sign` 1), or elements to windows (−1).
    fn shifted(&self, offset: &KernelOffset, sign: i64) -> Vec<[i64; 2]> {
        let pads = |((axis, length), shift): ((&Axis, i64), &i64)| {
            [sign * shift, sign * (length - axis.output - shift)]
        };
        self.axes.iter().zip(self.lengths()).zip(&offset.shifts).map(pads).collect()
    }

    /// `[first…, l₁, s₁, l₂, s₂, …]`
    fn split_shape(&self, first: &[Dim]) -> Shape {
        let pairs = self.axes.iter().zip(self.lengths()).flat_map(|(axis, length)| [length, axis.stride]);
        Shape([first, &pairs.map(|size| Dim::Fixed(size as usize)).collect::<Vec<Dim>>()].concat())
    }

    fn separated_shape(&self) -> Shape {
        let lengths = self.lengths().into_iter().map(|length| Dim::Fixed(length as usize));
        let channels = Dim::Fixed(self.count() * self.channels);
        Shape([self.shape.0[0], channels].into_iter().chain(lengths).collect())
    }
}

fn transpose(builder: &mut Builder<'_>, value: ValueId, order: Vec<i64>) -> Result<ValueId> {
    builder.op_with("Transpose", &[value], [("perm", Attribute::Ints(order))])
}

/// Pad of each axis by begin and end; what is below zero cuts.
fn pad(builder: &mut Builder<'_>, value: ValueId, pads: &[[i64; 2]], fill: f32) -> Result<ValueId> {
    if pads.iter().flatten().all(|pad| *pad == 0) {
        return Ok(value);
    }
    let (begins, ends) = (pads.iter().map(|pad| pad[0]), pads.iter().map(|pad| pad[1]));
    let pads = builder.ints(&begins.chain(ends).collect::<Vec<i64>>());
    if fill == 0.0 {
        return builder.op("Pad", &[value, pads]);
    }
    let fill = builder.scalar(fill);
    builder.op("Pad", &[value, pads, fill])
}
