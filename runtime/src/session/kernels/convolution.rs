//! Convolutions of images whose batch is the last axis: a register holds one pixel of as many images as it has lanes.
//!
//! Every product is fused with the sum that it goes into, in a fixed order. An image comes out the same to the last bit in every
//! lane, beside any neighbours and on registers of every width.

mod epilogue;
mod windows;
mod winograd;

use mimir_bundle::kernels::BATCH_LAST_LANES;

use super::simd::{Instructions, LANES, Lanes, Simd, Work};
use epilogue::Ending;
pub(in crate::session) use epilogue::Epilogue;
pub(in crate::session) use windows::{Axis, Geometry};
use windows::{Run, Tap, Windows};
use winograd::{Tensors, Winograd};

/// What the exporter says of a batch, and what a register holds.
const _: () = assert!(LANES == BATCH_LAST_LANES, "registers are those that batches are filled for");

/// Registers that hold the sums of a block of outputs at several pixels.
const MANY_REGISTERS: usize = 24;

/// One convolution, or transposed convolution, of known sizes.
#[derive(Debug)]
pub(in crate::session) struct Convolution {
    method: Method,
    channels: usize,
    outputs: usize,
    input_pixels: usize,
    output_pixels: usize,
    taps: usize,
}

/// How the sums are found.
#[derive(Debug)]
enum Method {
    /// As they are written. Weights are `[blocks, C, taps, outputs of a block]`.
    Windows(Windows),
    /// With fewer products. Weights are `[blocks, 36, C, 8]`.
    Winograd(Winograd),
}

/// Weights and bias in the order of a kernel, cut into parts that can be computed side by side.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Packed<'a> {
    /// Filled up with zeros.
    pub(in crate::session) weights: &'a [f32],
    /// Likewise.
    pub(in crate::session) bias: &'a [f32],
    /// Outputs of a block.
    pub(in crate::session) block: usize,
}

impl Convolution {
    /// `None` where sizes are zero or do not fit each other, or windows are not of the kind that Winograd's way is for.
    pub(in crate::session) fn new(geometry: &Geometry, by_winograd: bool) -> Option<Self> {
        let Geometry { channels, outputs, rows, columns, transposed } = *geometry;
        let method = if by_winograd {
            Method::Winograd(Winograd::new(channels, outputs, [rows, columns]).filter(|_| !transposed)?)
        } else {
            Method::Windows(Windows::new(geometry)?)
        };
        Some(Self {
            method,
            channels,
            outputs,
            input_pixels: rows.input * columns.input,
            output_pixels: rows.output * columns.output,
            taps: rows.kernel * columns.kernel,
        })
    }

    /// Elements of one image of the input, `C·H·W`, and of the output, `K·H'·W'`.
    pub(in crate::session) fn elements(&self) -> [usize; 2] {
        [self.channels * self.input_pixels, self.outputs * self.output_pixels]
    }

    /// Channels of the output.
    pub(in crate::session) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Outputs of a part, of which the last may have fewer; `None` where the weights do not fit.
    pub(in crate::session) fn part(&self, packed: Packed) -> Option<usize> {
        let Packed { weights, bias, block } = packed;
        let blocks = self.outputs.div_ceil(block.max(1));
        let (wanted, part) = match &self.method {
            Method::Windows(_) => (blocks * self.channels * self.taps * block, block),
            Method::Winograd(winograd) => (winograd.weights(), self.outputs),
        };
        let fits = weights.len() == wanted && bias.len() == blocks * block;
        (matches!(block, 1 | 3 | 4 | 8) && fits).then_some(part)
    }

    /// Computes the part of the outputs from number `first` on: `y` are their planes, `[K, H'·W', N]`.
    ///
    /// `x` is `[C·H·W, N]`, and the weights are those of the part. The tensors of the epilogue are of all outputs.
    pub(in crate::session) fn compute(
        &self,
        x: &[f32],
        packed: Packed,
        first: usize,
        images: usize,
        epilogue: Epilogue,
        y: &mut [f32],
    ) {
        let own = first * self.output_pixels * images..first * self.output_pixels * images + y.len();
        let [residual, gate] =
            [epilogue.residual, epilogue.gate].map(|tensor| tensor.map(|all| &all[own.clone()]));
        if images.is_multiple_of(LANES) {
            self.dispatch(x, packed, images, Epilogue { residual, gate, ..epilogue }, y);
            return;
        }
        let full = images.next_multiple_of(LANES);
        let [residual, gate] =
            [residual, gate].map(|tensor| tensor.map(|tensor| padded(tensor, images, full)));
        let epilogue = Epilogue { residual: residual.as_deref(), gate: gate.as_deref(), ..epilogue };
        let mut wide = padded(y, images, full);
        self.dispatch(&padded(x, images, full), packed, full, epilogue, &mut wide);
        for (row, wide) in y.chunks_exact_mut(images.max(1)).zip(wide.chunks_exact(full)) {
            row.copy_from_slice(&wide[..images]);
        }
    }

    fn dispatch(&self, x: &[f32], packed: Packed, images: usize, epilogue: Epilogue, y: &mut [f32]) {
        let Packed { weights, bias, .. } = packed;
        match &self.method {
            Method::Windows(windows) => {
                let block = Block { convolution: self, windows, x, weights, bias, images, epilogue, y };
                Instructions::best().run(block);
            }
            Method::Winograd(winograd) => winograd.compute(Tensors { x, weights, bias, images, epilogue, y }),
        }
    }
}

/// Rows of `images` elements, each filled up with zeros.
fn padded(rows: &[f32], images: usize, full: usize) -> Vec<f32> {
    let mut wide = vec![0.0; rows.len() / images.max(1) * full];
    for (row, wide) in rows.chunks_exact(images.max(1)).zip(wide.chunks_exact_mut(full)) {
        wide[..images].copy_from_slice(row);
    }
    wide
}

/// The work on one block of outputs.
struct Block<'a> {
    convolution: &'a Convolution,
    windows: &'a Windows,
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    images: usize,
    epilogue: Epilogue<'a>,
    y: &'a mut [f32],
}

impl Work for Block<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The sums of a block, the pixels and a weight fill the registers.
        match (self.bias.len(), S::REGISTERS >= MANY_REGISTERS) {
            (8, true) => self.sum::<S, 8, 3>(simd),
            (8, false) => self.sum::<S, 8, 1>(simd),
            (4, true) => self.sum::<S, 4, 6>(simd),
            (4, false) => self.sum::<S, 4, 1>(simd),
            (3, true) => self.sum::<S, 3, 8>(simd),
            (3, false) => self.sum::<S, 3, 2>(simd),
            (_, true) => self.sum::<S, 1, 16>(simd),
            (_, false) => self.sum::<S, 1, 6>(simd),
        }
    }
}

impl Block<'_> {
    /// `BLOCK` outputs at `PIXELS` pixels at a time, or at one where fewer are left.
    #[inline(always)]
    fn sum<S: Simd, const BLOCK: usize, const PIXELS: usize>(self, simd: S) {
        let registers = self.images / LANES;
        let Self { convolution, epilogue, .. } = self;
        let (x, _) = self.x.as_chunks::<LANES>();
        let (y, _) = self.y.as_chunks_mut::<LANES>();
        let (weights, _) = self.weights.as_chunks::<BLOCK>();
        let Some((bias, _)) = self.bias.split_first_chunk::<BLOCK>() else { return };
        let epilogue = Ending::new(epilogue);
        for run in &self.windows.runs {
            let taps = &self.windows.taps[run.taps.clone()];
            for register in 0..registers {
                let pixels = Pixels { simd, x, weights, bias, convolution, taps, run, registers, register };
                let mut position = 0;
                while position + PIXELS <= run.count {
                    let sums = pixels.sums::<PIXELS>(position);
                    pixels.write(&sums, position, &epilogue, y);
                    position += PIXELS;
                }
                while position < run.count {
                    let sums = pixels.sums::<1>(position);
                    pixels.write(&sums, position, &epilogue, y);
                    position += 1;
                }
            }
        }
    }
}

/// The pixels of a run, of the images of one register.
struct Pixels<'a, S: Simd, const BLOCK: usize> {
    simd: S,
    x: &'a [Lanes],
    weights: &'a [[f32; BLOCK]],
    bias: &'a [f32; BLOCK],
    convolution: &'a Convolution,
    taps: &'a [Tap],
    run: &'a Run,
    registers: usize,
    register: usize,
}

impl<S: Simd, const BLOCK: usize> Pixels<'_, S, BLOCK> {
    #[inline(always)]
    fn sums<const PIXELS: usize>(&self, position: usize) -> [[S::V; PIXELS]; BLOCK] {
        let Self { simd, convolution, registers, .. } = *self;
        let step = self.run.input_step * registers;
        let offset = position * step + self.register;
        let plane = convolution.input_pixels * registers;
        let mut sums = [[simd.splat(0.0); PIXELS]; BLOCK];
        for (output, sums) in sums.iter_mut().enumerate() {
            *sums = [simd.splat(self.bias[output]); PIXELS];
        }
        let planes = self.x.chunks_exact(plane).zip(self.weights.chunks_exact(convolution.taps));
        for (x, weights) in planes {
            for tap in self.taps {
                let weights = &weights[tap.weight];
                let first = tap.pixel * registers + offset;
                let mut pixels = [simd.splat(0.0); PIXELS];
                for (index, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = simd.load(&x[first + index * step]);
                }
                for output in 0..BLOCK {
                    let weight = simd.splat(weights[output]);
                    for index in 0..PIXELS {
                        sums[output][index] = simd.mul_add(weight, pixels[index], sums[output][index]);
                    }
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn write<const PIXELS: usize>(
        &self,
        sums: &[[S::V; PIXELS]; BLOCK],
        position: usize,
        ending: &Ending,
        y: &mut [Lanes],
    ) {
        let Self { simd, run, registers, .. } = *self;
        let plane = self.convolution.output_pixels * registers;
        for (output, sums) in sums.iter().enumerate() {
            // The last block may have fewer outputs.
            if output * plane >= y.len() {
                return;
            }
            for (index, sum) in sums.iter().enumerate() {
                let pixel = run.output + (position + index) * run.output_step;
                let at = output * plane + pixel * registers + self.register;
                simd.store(ending.of(simd, *sum, at), &mut y[at]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
