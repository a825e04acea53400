//! The gradient of a convolution of images with one or three channels, which is a transposed convolution to few channels.
//!
//! The engines' convolutions keep output channels in a register, of which one or three fill little. Here it holds sixteen
//! neighbours of a row. A stride splits the rows and columns of the result into *phases*, each with its own taps: along a
//! phase neighbours of the result meet neighbours of the gradient that is sent back.

use std::cell::RefCell;

use super::convolution::{Axis, Geometry};
use super::simd::{Instructions, LANES, Simd, Work};

/// Rows that are computed side by side, and with fewer registers.
const MANY_ROWS: usize = 4;
const FEW_ROWS: usize = 2;

/// Channels of images.
const COLOURS: usize = 3;

/// The results of one phase along an axis: `first`, and so many in steps of the stride.
#[derive(Debug, Clone, Copy)]
struct Phase {
    /// Place of the first in the result.
    first: usize,
    count: usize,
    /// The first tap, from which the others are a stride apart.
    tap: usize,
    taps: usize,
    /// The element that the first result and the first tap meet.
    meets: usize,
}

/// Elements beyond the edges that taps meet: before the first, and after the last.
#[derive(Debug, Clone, Copy)]
struct Margins {
    before: usize,
    after: usize,
}

impl Margins {
    fn of(axis: Axis) -> Self {
        let last = phases(axis).map(|phase| phase.meets + phase.count).max().unwrap_or(0);
        Self { before: axis.kernel.div_ceil(axis.stride) - 1, after: last.saturating_sub(axis.input) }
    }

    fn around(self, size: usize) -> usize {
        self.before + size + self.after
    }
}

/// The phases that have results.
fn phases(axis: Axis) -> impl Iterator<Item = Phase> {
    (0..axis.stride).filter_map(move |tap| {
        // Result `y` meets element `(y + begin − tap) / stride` by this tap.
        let first = (tap + axis.stride - axis.begin % axis.stride) % axis.stride;
        let meets = (first + axis.begin).checked_sub(tap)? / axis.stride;
        let count = axis.output.checked_sub(first)?.div_ceil(axis.stride);
        let taps = axis.kernel.saturating_sub(tap).div_ceil(axis.stride);
        (count > 0).then_some(Phase { first, count, tap, taps, meets })
    })
}

/// Whether the kernel computes it.
pub(in crate::session) fn is_image_gradient(geometry: &Geometry) -> bool {
    let fits =
        |axis: &Axis| axis.dilation == 1 && axis.stride > 0 && axis.kernel > 0 && axis.begin < axis.kernel;
    matches!(geometry.outputs, 1 | COLOURS) && fits(&geometry.rows) && fits(&geometry.columns)
}

/// The transposed convolution of `g` `[N, C, H, W]` with weights `[C, O, kernel]`: `[N, O, H', W']`.
///
/// # Panics
/// Where it is not [`is_image_gradient`], or the tensors have other sizes.
pub(in crate::session) fn image_gradient(
    geometry: &Geometry,
    g: &[f32],
    weights: &[f32],
    result: &mut [f32],
) {
    Instructions::best().run(ImageGradient { geometry, g, weights, result });
}

struct ImageGradient<'a> {
    geometry: &'a Geometry,
    g: &'a [f32],
    weights: &'a [f32],
    result: &'a mut [f32],
}

thread_local! {
    /// An image with zeros around it.
    static PADDED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Work for ImageGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { geometry, g, weights, result } = self;
        let Geometry { channels, outputs, rows, columns, .. } = *geometry;
        let margins = [rows, columns].map(Margins::of);
        // A vector that begins in the row may end beyond it.
        let width = margins[1].around(columns.input) + LANES;
        let plane = margins[0].around(rows.input) * width;
        PADDED.with_borrow_mut(|padded| {
            padded.resize(padded.len().max(channels * plane), 0.0);
            let padded = &mut padded[..channels * plane];
            let size = channels * rows.input * columns.input;
            for (g, result) in
                g.chunks_exact(size).zip(result.chunks_exact_mut(outputs * rows.output * columns.output))
            {
                let planes = g.chunks_exact(rows.input * columns.input);
                for (plane, g) in padded.chunks_exact_mut(plane).zip(planes) {
                    surround(g, plane, [columns.input, width], margins);
                }
                let image = Image { geometry, padded: &*padded, plane, width, margins, weights };
                for (down, across) in
                    phases(rows).flat_map(|down| phases(columns).map(move |across| (down, across)))
                {
                    simd.call(Part { image: &image, down, across, result: &mut *result });
                }
            }
        });
    }
}

/// A plane with zeros around it. What is left of another image is written over.
#[inline(always)]
fn surround(g: &[f32], plane: &mut [f32], [columns, width]: [usize; 2], margins: [Margins; 2]) {
    let (above, rest) = plane.split_at_mut(margins[0].before * width);
    let (inside, below) = rest.split_at_mut(g.len() / columns * width);
    above.fill(0.0);
    below.fill(0.0);
    for (row, g) in inside.chunks_exact_mut(width).zip(g.chunks_exact(columns)) {
        let (left, rest) = row.split_at_mut(margins[1].before);
        let (middle, right) = rest.split_at_mut(columns);
        left.fill(0.0);
        middle.copy_from_slice(g);
        right.fill(0.0);
    }
}

/// What all phases of an image read.
struct Image<'a> {
    geometry: &'a Geometry,
    /// `[C, rows, width]`
    padded: &'a [f32],
    plane: usize,
    width: usize,
    margins: [Margins; 2],
    weights: &'a [f32],
}

/// The results of one phase of rows and one of columns.
struct Part<'a> {
    image: &'a Image<'a>,
    down: Phase,
    across: Phase,
    result: &'a mut [f32],
}

impl Work for Part<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match (self.image.geometry.outputs, S::REGISTERS >= COLOURS * MANY_ROWS) {
            (COLOURS, true) => self.rows::<S, COLOURS, MANY_ROWS>(simd),
            (COLOURS, false) => self.rows::<S, COLOURS, FEW_ROWS>(simd),
            (_, true) => self.rows::<S, 1, MANY_ROWS>(simd),
            (_, false) => self.rows::<S, 1, FEW_ROWS>(simd),
        }
    }
}

impl Part<'_> {
    /// All rows, some at a time; what is left over one by one.
    #[inline(always)]
    fn rows<S: Simd, const OUTPUTS: usize, const ROWS: usize>(&mut self, simd: S) {
        let whole = self.down.count / ROWS * ROWS;
        for row in (0..whole).step_by(ROWS) {
            self.block::<S, OUTPUTS, ROWS>(simd, row);
        }
        for row in whole..self.down.count {
            self.block::<S, OUTPUTS, 1>(simd, row);
        }
    }

    /// Some rows. Each sum runs over channels, rows and columns of taps in their order.
    #[inline(always)]
    fn block<S: Simd, const OUTPUTS: usize, const ROWS: usize>(&mut self, simd: S, row: usize) {
        let Image { geometry, padded, plane, width, margins, weights } = *self.image;
        let (down, across) = (self.down, self.across);
        let [height_of_taps, width_of_taps] = [geometry.rows.kernel, geometry.columns.kernel];
        let taps = height_of_taps * width_of_taps;
        let top = down.meets + row + margins[0].before;
        for column in (0..across.count).step_by(LANES) {
            let left = across.meets + column + margins[1].before;
            let mut sums = [[simd.splat(0.0); ROWS]; OUTPUTS];
            for channel in 0..geometry.channels {
                let weights = &weights[channel * OUTPUTS * taps..][..OUTPUTS * taps];
                for vertical in 0..down.taps {
                    let pixels = &padded[channel * plane + (top - vertical) * width..];
                    let first = (down.tap + vertical * geometry.rows.stride) * width_of_taps + across.tap;
                    for horizontal in 0..across.taps {
                        let mut numbers = [simd.splat(0.0); ROWS];
                        for index in 0..ROWS {
                            if let Some(lanes) = pixels[index * width + left - horizontal..].first_chunk() {
                                numbers[index] = simd.load(lanes);
                            }
                        }
                        for output in 0..OUTPUTS {
                            let tap = first + horizontal * geometry.columns.stride;
                            let weight = simd.splat(weights[output * taps + tap]);
                            for index in 0..ROWS {
                                sums[output][index] =
                                    simd.mul_add(numbers[index], weight, sums[output][index]);
                            }
                        }
                    }
                }
            }
            for (output, sums) in sums.into_iter().enumerate() {
                for (index, sum) in sums.into_iter().enumerate() {
                    self.store(simd, sum, [output, row + index, column]);
                }
            }
        }
    }

    /// Neighbours of the phase, which lie a stride apart in the result.
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, sum: S::V, [output, row, column]: [usize; 3]) {
        let Geometry { rows, columns, .. } = self.image.geometry;
        let mut lanes = [0.0; LANES];
        simd.store(sum, &mut lanes);
        let row = output * rows.output + self.down.first + row * rows.stride;
        let start = row * columns.output + self.across.first + column * columns.stride;
        let count = LANES.min(self.across.count - column);
        let places = self.result[start..].iter_mut().step_by(columns.stride);
        for (place, lane) in places.zip(&lanes[..count]) {
            *place = *lane;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    const IMAGES: usize = 2;

    fn axis([input, output]: [usize; 2], kernel: usize, stride: usize, begin: usize) -> Axis {
        Axis { input, output, kernel, stride, dilation: 1, begin }
    }

    /// Channels, outputs, and the axes: without padding, with it, strides, left-over rows, windows with gaps between them.
    fn cases() -> Vec<Geometry> {
        let sizes = [
            (5, 3, axis([6, 8], 3, 1, 0), axis([30, 32], 3, 1, 0)),
            (8, 3, axis([9, 9], 3, 1, 1), axis([17, 17], 3, 1, 1)),
            (4, 3, axis([5, 10], 3, 2, 1), axis([20, 39], 3, 2, 1)),
            (3, 3, axis([6, 13], 7, 2, 3), axis([7, 14], 7, 2, 3)),
            (2, 1, axis([7, 23], 5, 3, 1), axis([6, 19], 4, 3, 0)),
            (2, 1, axis([3, 12], 2, 4, 0), axis([5, 18], 3, 4, 1)),
            (1, 1, axis([1, 1], 1, 1, 0), axis([1, 1], 1, 1, 0)),
        ];
        sizes
            .map(|(channels, outputs, rows, columns)| Geometry {
                channels,
                outputs,
                rows,
                columns,
                transposed: true,
            })
            .to_vec()
    }

    fn tensors(geometry: &Geometry) -> [Vec<f32>; 2] {
        let Geometry { channels, outputs, rows: down, columns, .. } = *geometry;
        let g = rows(columns.input, IMAGES * channels * down.input, 0.7);
        [g, rows(columns.kernel, channels * outputs * down.kernel, 1.3)]
    }

    fn size(geometry: &Geometry) -> usize {
        geometry.outputs * geometry.rows.output * geometry.columns.output
    }

    /// The definition in 64 bits: every element of `g` is sent to where its window lies.
    fn wanted(geometry: &Geometry, g: &[f32], weights: &[f32]) -> Vec<f64> {
        let Geometry { channels, outputs, rows, columns, .. } = *geometry;
        let mut result = vec![0.0; IMAGES * size(geometry)];
        for (place, number) in g.iter().enumerate() {
            let (line, x) = (place / columns.input, place % columns.input);
            let (line, y) = (line / rows.input, line % rows.input);
            let (image, channel) = (line / channels, line % channels);
            for (output, (v, h)) in (0..outputs)
                .flat_map(|output| (0..rows.kernel).map(move |v| (output, v)))
                .flat_map(|(output, v)| (0..columns.kernel).map(move |h| (output, (v, h))))
            {
                let to = |axis: Axis, at: usize, tap: usize| {
                    (at * axis.stride + tap).checked_sub(axis.begin).filter(|to| *to < axis.output)
                };
                let (Some(y), Some(x)) = (to(rows, y, v), to(columns, x, h)) else { continue };
                let weight = weights[((channel * outputs + output) * rows.kernel + v) * columns.kernel + h];
                result[((image * outputs + output) * rows.output + y) * columns.output + x] +=
                    f64::from(*number) * f64::from(weight);
            }
        }
        result
    }

    #[test]
    fn results_are_those_of_the_definition() {
        for geometry in cases() {
            assert!(is_image_gradient(&geometry));
            let [g, weights] = tensors(&geometry);
            let wanted = wanted(&geometry, &g, &weights);
            for instructions in Instructions::all() {
                let mut result = vec![f32::NAN; wanted.len()];
                instructions.run(ImageGradient {
                    geometry: &geometry,
                    g: &g,
                    weights: &weights,
                    result: &mut result,
                });
                for (found, wanted) in result.iter().zip(&wanted) {
                    let error = (f64::from(*found) - wanted).abs();
                    assert!(error < 1e-5, "{geometry:?}, {instructions:?}: {found}, wanted {wanted}");
                }
            }
        }
    }

    #[test]
    fn an_image_has_the_same_bits_alone_and_by_all_instructions() {
        for geometry in cases() {
            let [g, weights] = tensors(&geometry);
            let run = |instructions: Instructions, g: &[f32], images: usize| {
                let mut result = vec![f32::NAN; images * size(&geometry)];
                instructions.run(ImageGradient {
                    geometry: &geometry,
                    g,
                    weights: &weights,
                    result: &mut result,
                });
                result
            };
            let first = run(Instructions::Portable, &g, IMAGES);
            for instructions in Instructions::all() {
                let alone = g.chunks(g.len() / IMAGES).flat_map(|g| run(instructions, g, 1));
                assert_eq!(alone.collect::<Vec<f32>>(), first, "{geometry:?}, {instructions:?}");
            }
        }
    }
}
