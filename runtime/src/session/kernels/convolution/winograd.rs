//! 3×3 windows of stride 1 with a quarter of the products: F(4×4, 3×3) of Lavin and Gray (2016), section 4.3.
//!
//! Tiles of 6×6 pixels are transformed, multiplied with transformed weights and transformed back into 4×4 outputs. Sums of
//! 36 products take the place of 144, and the last digits of the result pay for it: errors are some ten times those of the
//! plain sums.

use std::cell::RefCell;

use mimir_bundle::kernels::BATCH_LAST_BLOCK as BLOCK;

use super::super::simd::{Instructions, LANES, Lanes, Simd, Work};
use super::epilogue::{Ending, Epilogue};
use super::windows::Axis;

/// Outputs of a tile along an axis.
const TILE: usize = 4;

/// Inputs of a tile along an axis.
const SIDE: usize = TILE + 2;

/// Products of a tile for each pair of channels.
const PRODUCTS: usize = SIDE * SIDE;

/// Registers of transformed pixels that are kept, about: they should stay in the second cache.
const MOST_REGISTERS: usize = 1 << 12;

/// Registers of a plane of so many. Planes that lie a power of two apart would share a few lines of the first cache.
const fn odd(registers: usize) -> usize {
    registers | 1
}

thread_local! {
    /// Transformed pixels, and products of a block.
    static SCRATCH: RefCell<[Vec<Lanes>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A convolution that is computed this way.
#[derive(Debug)]
pub(super) struct Winograd {
    channels: usize,
    outputs: usize,
    rows: Axis,
    columns: Axis,
}

/// Its tensors.
pub(super) struct Tensors<'a> {
    /// `[C·H·W, N]`, with `N` a multiple of the lanes.
    pub(super) x: &'a [f32],
    /// `[K/8, 36, C, 8]`.
    pub(super) weights: &'a [f32],
    /// `[K]`.
    pub(super) bias: &'a [f32],
    pub(super) images: usize,
    pub(super) epilogue: Epilogue<'a>,
    /// `[K·H'·W', N]`.
    pub(super) y: &'a mut [f32],
}

impl Winograd {
    /// `None` where windows are others, or outputs do not fill blocks.
    pub(super) fn new(channels: usize, outputs: usize, [rows, columns]: [Axis; 2]) -> Option<Self> {
        let fits =
            |axis: &Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.output > 0;
        (fits(&rows) && fits(&columns) && channels > 0 && outputs > 0 && outputs.is_multiple_of(BLOCK))
            .then_some(Self { channels, outputs, rows, columns })
    }

    /// Elements of the transformed weights.
    pub(super) fn weights(&self) -> usize {
        self.outputs * PRODUCTS * self.channels
    }

    pub(super) fn compute(&self, tensors: Tensors) {
        self.compute_with(Instructions::best(), tensors);
    }

    pub(super) fn compute_with(&self, instructions: Instructions, tensors: Tensors) {
        SCRATCH.with_borrow_mut(|scratch| instructions.run(Tiles { winograd: self, tensors, scratch }));
    }

    /// Row and column of the first output of a tile.
    fn origin(&self, tile: usize) -> [usize; 2] {
        let across = self.columns.output.div_ceil(TILE);
        [tile / across * TILE, tile % across * TILE]
    }
}

/// The work, tile by tile.
struct Tiles<'a> {
    winograd: &'a Winograd,
    tensors: Tensors<'a>,
    scratch: &'a mut [Vec<Lanes>; 2],
}

impl Work for Tiles<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { winograd, tensors, scratch: [pixels, products] } = self;
        let tiles = winograd.rows.output.div_ceil(TILE) * winograd.columns.output.div_ceil(TILE);
        let at_once = (MOST_REGISTERS / (PRODUCTS * winograd.channels)).clamp(1, tiles);
        let room = |scratch: &mut Vec<Lanes>, registers: usize| {
            if scratch.len() < registers {
                scratch.resize(registers, [0.0; LANES]);
            }
        };
        room(pixels, PRODUCTS * odd(winograd.channels * at_once));
        room(products, PRODUCTS * odd(BLOCK * at_once));
        let part = Part {
            simd,
            winograd,
            registers: tensors.images / LANES,
            x: tensors.x.as_chunks().0,
            ending: Ending::new(tensors.epilogue),
        };
        let (weights, _) = tensors.weights.as_chunks::<BLOCK>();
        let (y, _) = tensors.y.as_chunks_mut::<LANES>();
        for register in 0..part.registers {
            for first in (0..tiles).step_by(at_once) {
                let count = at_once.min(tiles - first);
                part.transform_pixels(first, count, register, pixels);
                for block in 0..winograd.outputs / BLOCK {
                    let size = PRODUCTS * winograd.channels;
                    part.multiply(&weights[block * size..(block + 1) * size], count, pixels, products);
                    for output in 0..BLOCK {
                        let channel = block * BLOCK + output;
                        let bias = tensors.bias[channel];
                        for tile in 0..count {
                            let sums = part.outputs(products, output, tile, count);
                            part.write(&sums, bias, channel, first + tile, register, y);
                        }
                    }
                }
            }
        }
    }
}

/// What all steps read.
struct Part<'a, S: Simd> {
    simd: S,
    winograd: &'a Winograd,
    registers: usize,
    x: &'a [Lanes],
    ending: Ending<'a>,
}

impl<S: Simd> Part<'_, S> {
    /// `Bᵀ·d·B` of some tiles of all channels, as `[36, C, tiles]` with [`odd`] planes.
    #[expect(clippy::needless_range_loop, reason = "an index of rows and of columns")]
    #[inline(always)]
    fn transform_pixels(&self, first: usize, count: usize, register: usize, pixels: &mut [Lanes]) {
        let Self { simd, winograd, registers, .. } = *self;
        let Winograd { channels, rows, columns, .. } = winograd;
        let zero = simd.splat(0.0);
        for channel in 0..*channels {
            let plane = channel * rows.input * columns.input;
            for tile in 0..count {
                let [top, left] = winograd.origin(first + tile);
                let mut halfway = [[zero; SIDE]; SIDE];
                for (column, halfway) in halfway.iter_mut().enumerate() {
                    let mut line = [zero; SIDE];
                    let from =
                        (left + column).checked_sub(columns.begin).filter(|from| *from < columns.input);
                    if let Some(from) = from {
                        for (row, pixel) in line.iter_mut().enumerate() {
                            let row = (top + row).checked_sub(rows.begin).filter(|row| *row < rows.input);
                            if let Some(row) = row {
                                let pixels = (plane + row * columns.input + from) * registers;
                                *pixel = simd.load(&self.x[pixels + register]);
                            }
                        }
                    }
                    *halfway = self.input_line(line);
                }
                for row in 0..SIDE {
                    let mut line = [zero; SIDE];
                    for (column, value) in line.iter_mut().enumerate() {
                        *value = halfway[column][row];
                    }
                    for (column, value) in self.input_line(line).into_iter().enumerate() {
                        let place = (row * SIDE + column) * odd(channels * count) + channel * count + tile;
                        simd.store(value, &mut pixels[place]);
                    }
                }
            }
        }
    }

    /// `factor·value + sum`.
    #[inline(always)]
    fn scaled(&self, factor: f32, value: S::V, sum: S::V) -> S::V {
        self.simd.mul_add(self.simd.splat(factor), value, sum)
    }

    /// `Bᵀ·d` of one line.
    #[inline(always)]
    fn input_line(&self, d: [S::V; SIDE]) -> [S::V; SIDE] {
        let simd = self.simd;
        let (even, odd) = (self.scaled(-4.0, d[2], d[4]), self.scaled(-4.0, d[1], d[3]));
        let (far, near) = (simd.sub(d[4], d[2]), simd.sub(d[3], d[1]));
        [
            self.scaled(4.0, d[0], self.scaled(-5.0, d[2], d[4])),
            simd.add(even, odd),
            simd.sub(even, odd),
            self.scaled(2.0, near, far),
            self.scaled(-2.0, near, far),
            self.scaled(4.0, d[1], self.scaled(-5.0, d[3], d[5])),
        ]
    }

    /// Sums over channels of transformed pixels times weights `[36, C]` of a block, as `[36, 8, tiles]`.
    #[inline(always)]
    fn multiply(&self, weights: &[[f32; BLOCK]], count: usize, pixels: &[Lanes], products: &mut [Lanes]) {
        let channels = self.winograd.channels;
        let planes = pixels.chunks_exact(odd(channels * count)).zip(weights.chunks_exact(channels));
        for ((pixels, weights), products) in planes.zip(products.chunks_exact_mut(odd(BLOCK * count))) {
            let mut tile = 0;
            while tile < count {
                // The sums of a block for three tiles fill the registers; two twice are quicker than three and one.
                match count - tile {
                    1 => self.sums::<1>(weights, [tile, count], pixels, products),
                    2 | 4 => self.sums::<2>(weights, [tile, count], pixels, products),
                    _ => self.sums::<3>(weights, [tile, count], pixels, products),
                }
                tile += match count - tile {
                    1 => 1,
                    2 | 4 => 2,
                    _ => 3,
                };
            }
        }
    }

    #[inline(always)]
    fn sums<const TILES: usize>(
        &self,
        weights: &[[f32; BLOCK]],
        [first, count]: [usize; 2],
        pixels: &[Lanes],
        products: &mut [Lanes],
    ) {
        let simd = self.simd;
        let mut sums = [[simd.splat(0.0); TILES]; BLOCK];
        for (pixels, weights) in pixels.chunks_exact(count).zip(weights) {
            let Some(pixels) = pixels[first..].first_chunk::<TILES>() else { return };
            let mut registers = [simd.splat(0.0); TILES];
            for (register, pixel) in registers.iter_mut().zip(pixels) {
                *register = simd.load(pixel);
            }
            for output in 0..BLOCK {
                let weight = simd.splat(weights[output]);
                for tile in 0..TILES {
                    sums[output][tile] = simd.mul_add(weight, registers[tile], sums[output][tile]);
                }
            }
        }
        for (products, sums) in products.chunks_exact_mut(count).zip(sums) {
            for (product, sum) in products[first..].iter_mut().zip(sums) {
                simd.store(sum, product);
            }
        }
    }

    /// `Aᵀ·m·A` of one tile of one output.
    #[inline(always)]
    fn outputs(&self, products: &[Lanes], output: usize, tile: usize, count: usize) -> [[S::V; TILE]; TILE] {
        let zero = self.simd.splat(0.0);
        let mut halfway = [[zero; TILE]; SIDE];
        for (column, halfway) in halfway.iter_mut().enumerate() {
            let mut line = [zero; SIDE];
            for (row, product) in line.iter_mut().enumerate() {
                let place = (row * SIDE + column) * odd(BLOCK * count) + output * count + tile;
                *product = self.simd.load(&products[place]);
            }
            *halfway = self.output_line(line);
        }
        let mut sums = [[zero; TILE]; TILE];
        for (row, sums) in sums.iter_mut().enumerate() {
            let mut line = [zero; SIDE];
            for (column, value) in line.iter_mut().enumerate() {
                *value = halfway[column][row];
            }
            *sums = self.output_line(line);
        }
        sums
    }

    /// `Aᵀ·m` of one line.
    #[inline(always)]
    fn output_line(&self, m: [S::V; SIDE]) -> [S::V; TILE] {
        let simd = self.simd;
        let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (far_sum, far_difference) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        [
            simd.add(simd.add(m[0], sum), far_sum),
            self.scaled(2.0, far_difference, difference),
            self.scaled(4.0, far_sum, sum),
            simd.add(self.scaled(8.0, far_difference, difference), m[5]),
        ]
    }

    /// Writes the outputs of a tile that lie inside.
    #[inline(always)]
    fn write(
        &self,
        sums: &[[S::V; TILE]; TILE],
        bias: f32,
        channel: usize,
        tile: usize,
        register: usize,
        y: &mut [Lanes],
    ) {
        let Winograd { rows, columns, .. } = self.winograd;
        let [top, left] = self.winograd.origin(tile);
        let bias = self.simd.splat(bias);
        for (row, sums) in (top..rows.output).zip(sums) {
            for (column, sum) in (left..columns.output).zip(sums) {
                let pixel = (channel * rows.output + row) * columns.output + column;
                let at = pixel * self.registers + register;
                self.simd.store(self.ending.of(self.simd, self.simd.add(*sum, bias), at), &mut y[at]);
            }
        }
    }
}
