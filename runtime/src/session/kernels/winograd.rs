//! Convolution 3 × 3 of stride 1 by Winograd's algorithm F(4×4, 3×3): a quarter of the products.
//!
//! Sixteen results of a channel come from a tile of 6 × 6 numbers. Tiles and weights are transformed, `Bᵀ·d·B` and
//! `G·w·Gᵀ`; then each of 36 points is a product of matrices, tiles by channels; and `Aᵀ·m·A` is the result. Channels are
//! last, so that transforms work on vectors of them. Winograd 1980; Lavin and Gray 2016, section 4.

use std::cell::RefCell;

use mimir_bundle::kernels::POINTS;

use super::product::{Left, Product, Rows};
use super::simd::{Instructions, LANES, Simd, Work};
use super::transposition::Transposition;

/// Rows and columns of a tile, and of the part of the result that it gives.
const TILE: usize = 6;
const PART: usize = 4;

/// Sizes of a convolution. Channels are multiples of [`LANES`].
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Planes {
    /// Rows of the images, at least three with the zeros.
    pub(in crate::session) height: usize,
    /// Columns of the images, likewise.
    pub(in crate::session) width: usize,
    /// Rows and columns of zeros on each side of the images.
    pub(in crate::session) zeros: usize,
    /// Channels of the images.
    pub(in crate::session) inputs: usize,
    /// Channels of the result.
    pub(in crate::session) outputs: usize,
}

impl Planes {
    /// Rows and columns of the result.
    pub(in crate::session) fn result(self) -> [usize; 2] {
        [self.height, self.width].map(|size| size + 2 * self.zeros - 2)
    }

    /// Pixels of an image and of its result.
    pub(in crate::session) fn pixels(self) -> [usize; 2] {
        let [height, width] = self.result();
        [self.height * self.width, height * width]
    }

    fn columns_of_tiles(self) -> usize {
        self.result()[1].div_ceil(PART)
    }

    fn tiles(self) -> usize {
        self.result()[0].div_ceil(PART) * self.columns_of_tiles()
    }

    /// Tiles that are transformed together: few enough for the second cache, and enough for each weight that is read.
    fn group(self) -> usize {
        if self.inputs.max(self.outputs) <= 128 { 18 } else { 72 }
    }

    /// Image, first row and first column of the part that a tile gives.
    fn place(self, tile: usize) -> [usize; 3] {
        let (image, within) = (tile / self.tiles(), tile % self.tiles());
        let (row, column) = (within / self.columns_of_tiles(), within % self.columns_of_tiles());
        [image, row * PART, column * PART]
    }
}

/// What is done to the sums of the products.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::session) struct Finish<'a> {
    /// Added to each pixel; empty for none.
    pub(in crate::session) bias: &'a [f32],
    /// As large as the result, and added to it; empty for none.
    pub(in crate::session) residual: &'a [f32],
    /// Whether negative results become zero.
    pub(in crate::session) relu: bool,
    /// As large as the result, which becomes zero where this is below the smallest normal number; empty for none.
    pub(in crate::session) mask: &'a [f32],
}

/// Which tensors have their channels first, `[N, C, H, W]`; the others have them last.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::session) struct ChannelsFirst {
    pub(in crate::session) images: bool,
    pub(in crate::session) residual: bool,
    pub(in crate::session) mask: bool,
    pub(in crate::session) result: bool,
}

/// The convolution of images `[N, H, W, Ci]` with transformed weights `[36, Co/16, Ci, 16]`
/// ([`mimir_bundle::kernels::winograd_weights`]) and zeros around them: `[N, rows, columns, Co]`.
pub(in crate::session) fn winograd_conv(
    planes: Planes,
    images: &[f32],
    weights: &[f32],
    finish: Finish,
    first: ChannelsFirst,
    result: &mut [f32],
) {
    Instructions::best().run(Rearranged { planes, images, weights, finish, first, result });
}

/// A convolution of tensors some of which have their channels first.
struct Rearranged<'a> {
    planes: Planes,
    images: &'a [f32],
    weights: &'a [f32],
    finish: Finish<'a>,
    first: ChannelsFirst,
    result: &'a mut [f32],
}

thread_local! {
    /// Images, residual, mask and result with their channels last.
    static COPIES: RefCell<[Vec<f32>; 4]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new(), Vec::new()]) };
}

impl Work for Rearranged<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { planes, weights, finish, first, .. } = self;
        let [pixels, results] = planes.pixels();
        COPIES.with_borrow_mut(|[images, residual, mask, result]| {
            let images = last(simd, first.images, [planes.inputs, pixels], self.images, images);
            let residual = last(simd, first.residual, [planes.outputs, results], finish.residual, residual);
            let mask = last(simd, first.mask, [planes.outputs, results], finish.mask, mask);
            let finish = Finish { residual, mask, ..finish };
            if !first.result {
                return simd.call(Convolution { planes, images, weights, finish, result: self.result });
            }
            result.resize(result.len().max(self.result.len()), 0.0);
            let copy = &mut result[..self.result.len()];
            simd.call(Convolution { planes, images, weights, finish, result: &mut *copy });
            simd.call(Transposition { rows: results, columns: planes.outputs, from: copy, to: self.result });
        });
    }
}

/// A tensor with its channels last: itself, or a copy.
#[inline(always)]
fn last<'a, S: Simd>(
    simd: S,
    is_first: bool,
    [channels, pixels]: [usize; 2],
    tensor: &'a [f32],
    copy: &'a mut Vec<f32>,
) -> &'a [f32] {
    if !is_first {
        return tensor;
    }
    copy.resize(copy.len().max(tensor.len()), 0.0);
    let copy = &mut copy[..tensor.len()];
    simd.call(Transposition { rows: channels, columns: pixels, from: tensor, to: &mut *copy });
    copy
}

struct Convolution<'a> {
    planes: Planes,
    images: &'a [f32],
    weights: &'a [f32],
    finish: Finish<'a>,
    result: &'a mut [f32],
}

thread_local! {
    /// Transformed tiles and their products. Clearing fresh memory would take a tenth of a small convolution.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Work for Convolution<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Planes { inputs, outputs, .. } = self.planes;
        let total = self.images.len() / (self.planes.pixels()[0] * inputs) * self.planes.tiles();
        let group = self.planes.group();
        SCRATCH.with_borrow_mut(|scratch| {
            let needed = POINTS * group * (inputs + outputs);
            if scratch.len() < needed {
                scratch.resize(needed, 0.0);
            }
            let (tiles, products) = scratch[..needed].split_at_mut(POINTS * group * inputs);
            for first in (0..total).step_by(group) {
                let count = group.min(total - first);
                simd.call(Transform { planes: self.planes, images: self.images, first, count, tiles });
                for (panel, weights) in self.weights.chunks_exact(inputs * LANES).enumerate() {
                    let (point, panel) = (panel / (outputs / LANES), panel % (outputs / LANES));
                    simd.call(Product {
                        left: Left::AsItIs(Rows { data: &tiles[point * inputs..], stride: POINTS * inputs }),
                        right: Rows { data: weights, stride: LANES },
                        rows: count,
                        inner: inputs,
                        columns: LANES,
                        result: &mut products[point * outputs + panel * LANES..],
                        stride: POINTS * outputs,
                    });
                }
                simd.call(Restore { convolution: &mut self, first, count, products });
            }
        });
    }
}

/// Tiles of the images, transformed: `[tile][point][channel]`.
struct Transform<'a> {
    planes: Planes,
    images: &'a [f32],
    first: usize,
    count: usize,
    tiles: &'a mut [f32],
}

impl Work for Transform<'_> {
    #[expect(clippy::needless_range_loop, reason = "an index of rows and of columns")]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { planes, images, first, count, tiles } = self;
        let Planes { height, width, zeros, inputs, .. } = planes;
        let size = height * width * inputs;
        let mut half = [[0.0; LANES]; POINTS];
        for (tile, transformed) in tiles.chunks_exact_mut(POINTS * inputs).take(count).enumerate() {
            let [image, top, left] = planes.place(first + tile);
            let pixels = &images[image * size..][..size];
            // Where the pixels of each row and column of the tile begin, `None` where they are zeros.
            let mut rows = [None; TILE];
            let mut columns = [None; TILE];
            for index in 0..TILE {
                rows[index] =
                    (top + index).checked_sub(zeros).filter(|y| *y < height).map(|y| y * width * inputs);
                columns[index] = (left + index).checked_sub(zeros).filter(|x| *x < width).map(|x| x * inputs);
            }
            for channel in (0..inputs).step_by(LANES) {
                for column in 0..TILE {
                    let mut numbers = [simd.splat(0.0); TILE];
                    if let Some(x) = columns[column] {
                        for row in 0..TILE {
                            if let Some(y) = rows[row] {
                                numbers[row] = vector(simd, pixels, y + x + channel);
                            }
                        }
                    }
                    let numbers = transformed_row(simd, numbers);
                    for row in 0..TILE {
                        simd.store(numbers[row], &mut half[row * TILE + column]);
                    }
                }
                for row in 0..TILE {
                    let mut numbers = [simd.splat(0.0); TILE];
                    for column in 0..TILE {
                        numbers[column] = simd.load(&half[row * TILE + column]);
                    }
                    let numbers = transformed_row(simd, numbers);
                    for column in 0..TILE {
                        let place = (row * TILE + column) * inputs + channel;
                        if let Some(lanes) = transformed[place..].first_chunk_mut() {
                            simd.store(numbers[column], lanes);
                        }
                    }
                }
            }
        }
    }
}

/// `Bᵀ` times a column.
#[inline(always)]
fn transformed_row<S: Simd>(simd: S, d: [S::V; TILE]) -> [S::V; TILE] {
    let [minus_five, minus_four, minus_two, two, four] = [-5.0, -4.0, -2.0, 2.0, 4.0].map(|n| simd.splat(n));
    let (even, odd) = (simd.mul_add(d[2], minus_four, d[4]), simd.mul_add(d[1], minus_four, d[3]));
    let (fourth, third) = (simd.sub(d[4], d[2]), simd.sub(d[3], d[1]));
    [
        simd.mul_add(d[0], four, simd.mul_add(d[2], minus_five, d[4])),
        simd.add(even, odd),
        simd.sub(even, odd),
        simd.mul_add(third, two, fourth),
        simd.mul_add(third, minus_two, fourth),
        simd.mul_add(d[1], four, simd.mul_add(d[3], minus_five, d[5])),
    ]
}

/// `Aᵀ` times a column.
#[inline(always)]
fn restored_row<S: Simd>(simd: S, m: [S::V; TILE]) -> [S::V; PART] {
    let [two, four, eight] = [2.0, 4.0, 8.0].map(|n| simd.splat(n));
    let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (far_sum, far_difference) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    [
        simd.add(simd.add(m[0], sum), far_sum),
        simd.mul_add(far_difference, two, difference),
        simd.mul_add(far_sum, four, sum),
        simd.add(simd.mul_add(far_difference, eight, difference), m[5]),
    ]
}

/// The result of some tiles from their products `[tile][point][channel]`.
struct Restore<'a, 'b> {
    convolution: &'a mut Convolution<'b>,
    first: usize,
    count: usize,
    products: &'a [f32],
}

impl Work for Restore<'_, '_> {
    #[expect(clippy::needless_range_loop, reason = "an index of rows and of columns")]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Convolution { planes, finish, .. } = *self.convolution;
        let (outputs, [height, width]) = (planes.outputs, planes.result());
        let mut half = [[0.0; LANES]; PART * TILE];
        for (tile, products) in self.products.chunks_exact(POINTS * outputs).take(self.count).enumerate() {
            let [image, top, left] = planes.place(self.first + tile);
            for channel in (0..outputs).step_by(LANES) {
                for column in 0..TILE {
                    let mut numbers = [simd.splat(0.0); TILE];
                    for row in 0..TILE {
                        numbers[row] = vector(simd, products, (row * TILE + column) * outputs + channel);
                    }
                    let numbers = restored_row(simd, numbers);
                    for row in 0..PART {
                        simd.store(numbers[row], &mut half[row * TILE + column]);
                    }
                }
                for (row, y) in (top..height.min(top + PART)).enumerate() {
                    let mut numbers = [simd.splat(0.0); TILE];
                    for column in 0..TILE {
                        numbers[column] = simd.load(&half[row * TILE + column]);
                    }
                    for (x, sum) in (left..width.min(left + PART)).zip(restored_row(simd, numbers)) {
                        let place = ((image * height + y) * width + x) * outputs + channel;
                        let number = finished(simd, sum, finish, place, channel);
                        if let Some(lanes) = self.convolution.result[place..].first_chunk_mut() {
                            simd.store(number, lanes);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn finished<S: Simd>(simd: S, mut number: S::V, finish: Finish, place: usize, channel: usize) -> S::V {
    if !finish.bias.is_empty() {
        number = simd.add(number, vector(simd, finish.bias, channel));
    }
    if !finish.residual.is_empty() {
        number = simd.add(number, vector(simd, finish.residual, place));
    }
    if finish.relu {
        number = simd.larger(number, simd.splat(0.0));
    }
    if !finish.mask.is_empty() {
        let mask = vector(simd, finish.mask, place);
        number = simd.zero_below(mask, simd.splat(f32::MIN_POSITIVE), number);
    }
    number
}

#[inline(always)]
fn vector<S: Simd>(simd: S, numbers: &[f32], place: usize) -> S::V {
    numbers[place..].first_chunk().map_or(simd.splat(0.0), |lanes| simd.load(lanes))
}

#[cfg(test)]
mod tests {
    use mimir_bundle::kernels::winograd_weights;

    use super::super::tests::rows;
    use super::*;

    const SIZES: [Planes; 8] = [
        Planes { height: 8, width: 8, zeros: 1, inputs: 16, outputs: 16 },
        Planes { height: 7, width: 5, zeros: 1, inputs: 32, outputs: 16 },
        Planes { height: 1, width: 2, zeros: 1, inputs: 16, outputs: 48 },
        Planes { height: 6, width: 13, zeros: 1, inputs: 96, outputs: 64 },
        Planes { height: 3, width: 9, zeros: 0, inputs: 16, outputs: 32 },
        Planes { height: 10, width: 7, zeros: 0, inputs: 32, outputs: 16 },
        Planes { height: 1, width: 7, zeros: 2, inputs: 32, outputs: 16 },
        Planes { height: 8, width: 4, zeros: 2, inputs: 16, outputs: 16 },
    ];

    const IMAGES: usize = 3;

    /// One number of the convolution in 64 bits, and the sum of the magnitudes of its products.
    fn expected(planes: Planes, images: &[f32], weights: &[f32], place: usize) -> [f64; 2] {
        let Planes { height, width, zeros, inputs, outputs } = planes;
        let (pixel, output, [rows, columns]) = (place / outputs, place % outputs, planes.result());
        let [image, y, x] = [pixel / (rows * columns), pixel / columns % rows, pixel % columns];
        let mut sums = [0.0; 2];
        for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
            let (Some(y), Some(x)) = ((y + dy).checked_sub(zeros), (x + dx).checked_sub(zeros)) else {
                continue;
            };
            for input in (0..inputs).filter(|_| y < height && x < width) {
                let number = images[((image * height + y) * width + x) * inputs + input];
                let product =
                    f64::from(number) * f64::from(weights[(output * inputs + input) * 9 + dy * 3 + dx]);
                sums = [sums[0] + product, sums[1] + product.abs()];
            }
        }
        sums
    }

    #[test]
    fn results_are_those_of_64_bits() {
        for planes in SIZES {
            let (Planes { inputs, outputs, .. }, [pixels, results]) = (planes, planes.pixels());
            let images = rows(inputs, IMAGES * pixels, 0.7);
            let weights = rows(9 * inputs, outputs, 1.3);
            let (bias, residual) = (rows(outputs, 1, 0.3), rows(outputs, IMAGES * results, 0.9));
            let mask: Vec<f32> = rows(outputs, IMAGES * results, 2.1);
            let transformed = winograd_weights(&weights, [outputs, inputs]);
            let cases = [
                Finish::default(),
                Finish { bias: &bias, residual: &residual, relu: true, mask: &[] },
                Finish { bias: &[], residual: &residual, relu: false, mask: &mask },
            ];
            for (instructions, finish) in
                Instructions::all().into_iter().flat_map(|kind| cases.map(|finish| (kind, finish)))
            {
                let mut result = vec![f32::NAN; IMAGES * results * outputs];
                let result_of = &mut result[..];
                let weights_of = &transformed[..];
                instructions.run(Convolution {
                    planes,
                    images: &images,
                    weights: weights_of,
                    finish,
                    result: result_of,
                });
                for (place, found) in result.iter().enumerate() {
                    let [sum, magnitude] = expected(planes, &images, &weights, place);
                    let add = |from: &[f32], at: usize| f64::from(from.get(at).copied().unwrap_or(0.0));
                    let mut wanted = sum + add(finish.bias, place % outputs) + add(finish.residual, place);
                    if (finish.relu && wanted < 0.0)
                        || finish.mask.get(place).is_some_and(|mask| *mask <= 0.0)
                    {
                        wanted = 0.0;
                    }
                    assert!(
                        (f64::from(*found) - wanted).abs() < 5e-6 * (magnitude + 1.0),
                        "{planes:?}, {instructions:?}: {found}, wanted {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn channels_may_come_first() {
        let swapped = |tensor: &[f32], rows: usize, columns: usize| {
            let mut swapped = vec![0.0; tensor.len()];
            Instructions::Portable.run(Transposition { rows, columns, from: tensor, to: &mut swapped });
            swapped
        };
        for planes in SIZES {
            let (Planes { inputs, outputs, .. }, [pixels, results]) = (planes, planes.pixels());
            let images = rows(inputs, IMAGES * pixels, 0.7);
            let weights = winograd_weights(&rows(9 * inputs, outputs, 1.3), [outputs, inputs]);
            let (residual, mask) =
                (rows(outputs, IMAGES * results, 0.9), rows(outputs, IMAGES * results, 2.1));
            let of = |images: &[f32], residual: &[f32], mask: &[f32], first: ChannelsFirst| {
                let mut result = vec![0.0; IMAGES * results * outputs];
                let finish = Finish { residual, mask, ..Finish::default() };
                winograd_conv(planes, images, &weights, finish, first, &mut result);
                result
            };
            let wanted = of(&images, &residual, &mask, ChannelsFirst::default());
            let all = ChannelsFirst { images: true, residual: true, mask: true, result: true };
            let images = swapped(&images, pixels, inputs);
            let [residual, mask] = [residual, mask].map(|tensor| swapped(&tensor, results, outputs));
            assert_eq!(swapped(&of(&images, &residual, &mask, all), outputs, results), wanted, "{planes:?}");
        }
    }

    #[test]
    fn an_image_has_the_same_bits_alone_and_in_a_batch() {
        for planes in SIZES {
            let (Planes { inputs, outputs, .. }, [pixels, results]) = (planes, planes.pixels());
            let images = rows(inputs, IMAGES * pixels, 0.7);
            let weights = winograd_weights(&rows(9 * inputs, outputs, 1.3), [outputs, inputs]);
            let run = |instructions: Instructions, images: &[f32]| {
                let mut result = vec![0.0; images.len() / (pixels * inputs) * results * outputs];
                let finish = Finish::default();
                instructions.run(Convolution {
                    planes,
                    images,
                    weights: &weights,
                    finish,
                    result: &mut result,
                });
                result
            };
            let first = run(Instructions::Portable, &images);
            for instructions in Instructions::all() {
                let alone = images.chunks(pixels * inputs).flat_map(|image| run(instructions, image));
                assert_eq!(alone.collect::<Vec<f32>>(), first, "{planes:?}, {instructions:?}");
                assert_eq!(run(instructions, &images), first, "{planes:?}, {instructions:?}");
            }
        }
    }
}
