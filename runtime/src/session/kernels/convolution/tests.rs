//! The kernel beside sums in float64, on every width of registers and for every kind of window.

use mimir_bundle::kernels::winograd_weights_batch_last;

use super::*;

/// Numbers without a pattern that windows could follow.
fn numbers(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|index| (index as f32 * step).sin()).collect()
}

/// A case: its sizes and its tensors, weights as `[K, C, taps]`.
struct Case {
    geometry: Geometry,
    block: usize,
    images: usize,
    x: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new(
        [channels, outputs]: [usize; 2],
        rows: Axis,
        columns: Axis,
        transposed: bool,
        images: usize,
    ) -> Self {
        let geometry = Geometry { channels, outputs, rows, columns, transposed };
        let taps = rows.kernel * columns.kernel;
        Self {
            geometry,
            block: [8, 4, 3, 1].into_iter().find(|block| outputs.is_multiple_of(*block)).unwrap(),
            images,
            x: numbers(channels * rows.input * columns.input * images, 0.37),
            weights: numbers(outputs * channels * taps, 0.91),
            bias: numbers(outputs, 1.7),
        }
    }

    fn packed(&self) -> [Vec<f32>; 2] {
        let Geometry { channels, outputs, rows, columns, .. } = self.geometry;
        let taps = rows.kernel * columns.kernel;
        let mut packed = Vec::new();
        for first in (0..outputs).step_by(self.block) {
            for inner in 0..channels * taps {
                packed.extend((first..first + self.block).map(|output| {
                    if output < outputs { self.weights[output * channels * taps + inner] } else { 0.0 }
                }));
            }
        }
        let mut bias = self.bias.clone();
        bias.resize(outputs.next_multiple_of(self.block), 0.0);
        [packed, bias]
    }

    fn computed(&self, epilogue: Epilogue) -> Vec<f32> {
        self.computed_by(&Convolution::new(&self.geometry, false).unwrap(), self.packed(), epilogue)
    }

    fn computed_by(&self, convolution: &Convolution, packed: [Vec<f32>; 2], epilogue: Epilogue) -> Vec<f32> {
        let (block, [weights, bias]) = (self.block, packed);
        let part = convolution.part(Packed { weights: &weights, bias: &bias, block }).unwrap();
        let [_, outputs] = convolution.elements();
        let mut y = vec![f32::NAN; outputs * self.images];
        let parts = y.chunks_mut(outputs / convolution.outputs() * part * self.images);
        let count = parts.len();
        let packed = weights.chunks(weights.len() / count).zip(bias.chunks(bias.len() / count));
        for ((index, y), (weights, bias)) in parts.enumerate().zip(packed) {
            let packed = Packed { weights, bias, block };
            convolution.compute(&self.x, packed, index * part, self.images, epilogue, y);
        }
        y
    }

    /// The case whose sums are those of the magnitudes of the products.
    fn magnitudes(&self) -> Self {
        let magnitudes = |values: &[f32]| values.iter().map(|value| value.abs()).collect();
        let [x, weights, bias] = [&self.x, &self.weights, &self.bias].map(|values| magnitudes(values));
        Self { x, weights, bias, ..*self }
    }

    /// The sums in float64, from the definition of both operators: every input pixel times every weight.
    fn wanted(&self) -> Vec<f64> {
        let Geometry { channels, outputs, rows, columns, transposed } = self.geometry;
        let mut y = vec![0.0; outputs * rows.output * columns.output * self.images];
        for (index, value) in y.iter_mut().enumerate() {
            *value = f64::from(self.bias[index / (rows.output * columns.output * self.images)]);
        }
        let meets = |axis: &Axis, output: usize, input: usize, tap: usize| {
            let (window, inside) = if transposed { (input, output) } else { (output, input) };
            window * axis.stride + tap * axis.dilation == inside + axis.begin
        };
        for (output, row, column) in positions([outputs, rows.output, columns.output]) {
            for (channel, input_row, input_column) in positions([channels, rows.input, columns.input]) {
                for tap in 0..rows.kernel * columns.kernel {
                    let (row_tap, column_tap) = (tap / columns.kernel, tap % columns.kernel);
                    if meets(&rows, row, input_row, row_tap)
                        && meets(&columns, column, input_column, column_tap)
                    {
                        let taps = rows.kernel * columns.kernel;
                        let weight = self.weights[(output * channels + channel) * taps + tap];
                        let from =
                            ((channel * rows.input + input_row) * columns.input + input_column) * self.images;
                        let to = ((output * rows.output + row) * columns.output + column) * self.images;
                        for image in 0..self.images {
                            y[to + image] += f64::from(weight) * f64::from(self.x[from + image]);
                        }
                    }
                }
            }
        }
        y
    }
}

fn positions([planes, rows, columns]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..planes * rows * columns)
        .map(move |index| (index / (rows * columns), index / columns % rows, index % columns))
}

fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, begin: usize) -> Axis {
    let output = (input + 2 * begin - dilation * (kernel - 1) - 1) / stride + 1;
    Axis { input, output, kernel, stride, dilation, begin }
}

/// The axis of the gradient.
fn transposed(axis: Axis) -> Axis {
    Axis { input: axis.output, output: axis.input, ..axis }
}

fn cases(images: usize) -> Vec<Case> {
    let axes = [
        (axis(8, 3, 1, 1, 1), axis(9, 3, 1, 1, 1)),
        (axis(8, 3, 2, 1, 1), axis(7, 3, 2, 1, 0)),
        (axis(9, 1, 2, 1, 0), axis(8, 1, 2, 1, 0)),
        (axis(11, 3, 1, 2, 2), axis(20, 5, 3, 1, 2)),
        (axis(1, 1, 1, 1, 0), axis(1, 1, 1, 1, 0)),
        (axis(6, 2, 2, 1, 0), axis(23, 4, 4, 1, 0)),
    ];
    let sizes = [[3, 8], [2, 3], [5, 10], [1, 1], [4, 4], [2, 13]];
    axes.into_iter()
        .zip(sizes)
        .flat_map(|((rows, columns), channels)| {
            let swapped = [channels[1], channels[0]];
            [
                Case::new(channels, rows, columns, false, images),
                Case::new(swapped, transposed(rows), transposed(columns), true, images),
            ]
        })
        .collect()
}

#[test]
fn sums_are_those_of_the_definition() {
    for images in [1, 5, 16, 32] {
        for case in cases(images) {
            let (found, wanted) = (case.computed(Epilogue::default()), case.wanted());
            assert_eq!(found.len(), wanted.len());
            for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                let error = (f64::from(*found) - wanted).abs();
                assert!(
                    error < 2e-6 * (1.0 + wanted.abs()),
                    "{:?}, {index}: {found}, {wanted}",
                    case.geometry
                );
            }
        }
    }
}

#[test]
fn an_image_comes_out_the_same_beside_any_others_and_in_every_lane() {
    let few = cases(3);
    for (few, many) in few.iter().zip(cases(32)) {
        for lane in [0, 7, 31] {
            let mut many = Case {
                x: many.x.clone(),
                ..Case::new([1, 1], axis(1, 1, 1, 1, 0), axis(1, 1, 1, 1, 0), false, 1)
            };
            (many.geometry, many.block, many.images) = (few.geometry, few.block, 32);
            (many.weights, many.bias) = (few.weights.clone(), few.bias.clone());
            for (many, few) in many.x.chunks_mut(32).zip(few.x.chunks(3)) {
                many[lane] = few[1];
            }
            let (alone, among) = (few.computed(Epilogue::default()), many.computed(Epilogue::default()));
            let bits = |y: &[f32], images: usize, image: usize| -> Vec<u32> {
                y.chunks(images).map(|pixel| pixel[image].to_bits()).collect()
            };
            assert_eq!(bits(&alone, 3, 1), bits(&among, 32, lane), "{:?}", few.geometry);
        }
    }
}

#[test]
fn all_instructions_give_the_same_bits() {
    for case in cases(16) {
        let convolution = Convolution::new(&case.geometry, false).unwrap();
        let Method::Windows(windows) = &convolution.method else { unreachable!() };
        let [weights, bias] = case.packed();
        let size = weights.len() / (bias.len() / case.block);
        let best = case.computed(Epilogue::default());
        for instructions in Instructions::all() {
            let mut y = vec![0.0; best.len().min(case.block * convolution.output_pixels * 16)];
            instructions.run(Block {
                convolution: &convolution,
                windows,
                x: &case.x,
                weights: &weights[..size],
                bias: &bias[..case.block],
                images: 16,
                epilogue: Epilogue::default(),
                y: &mut y,
            });
            assert_equal_bits(&best[..y.len()], &y, &case.geometry);
        }
    }
}

fn assert_equal_bits(left: &[f32], right: &[f32], geometry: &Geometry) {
    assert_eq!(left.len(), right.len());
    let equal = left.iter().zip(right).all(|(left, right)| left.to_bits() == right.to_bits());
    assert!(equal, "{geometry:?}");
}

/// Cases with 3×3 windows of stride 1, and the weights in Winograd's form.
fn winograd_cases(images: usize) -> Vec<(Case, Convolution, [Vec<f32>; 2])> {
    let sizes = [([16, 16], [8, 8], 1), ([8, 8], [5, 9], 1), ([9, 24], [6, 6], 0), ([40, 8], [13, 4], 2)];
    let case = |([channels, outputs], [rows, columns], begin): ([usize; 2], [usize; 2], usize)| {
        let axes = [axis(rows, 3, 1, 1, begin), axis(columns, 3, 1, 1, begin)];
        let case = Case::new([channels, outputs], axes[0], axes[1], false, images);
        let convolution = Convolution::new(&case.geometry, true).unwrap();
        let weights = winograd_weights_batch_last(&case.weights, [outputs, channels]);
        let bias = case.bias.clone();
        (case, convolution, [weights, bias])
    };
    sizes.into_iter().map(case).collect()
}

#[test]
fn sums_by_winograd_are_those_of_the_definition() {
    for images in [3, 16, 32] {
        for (case, convolution, packed) in winograd_cases(images) {
            let found = case.computed_by(&convolution, packed, Epilogue::default());
            let sums = case.wanted().into_iter().zip(case.magnitudes().wanted());
            for (index, (found, (wanted, magnitude))) in found.iter().zip(sums).enumerate() {
                let error = (f64::from(*found) - wanted).abs();
                assert!(error < 1e-5 * magnitude, "{:?}, {index}: {found}, {wanted}", case.geometry);
            }
        }
    }
}

#[test]
fn winograd_gives_the_same_bits_by_all_instructions_and_in_every_lane() {
    let few = winograd_cases(3);
    for ((mut case, convolution, packed), (few, _, _)) in winograd_cases(16).into_iter().zip(few) {
        for (many, few) in case.x.chunks_mut(16).zip(few.x.chunks(3)) {
            many[9] = few[1];
        }
        let best = case.computed_by(&convolution, packed.clone(), Epilogue::default());
        let Method::Winograd(winograd) = &convolution.method else { unreachable!() };
        for instructions in Instructions::all() {
            let mut y = vec![0.0; best.len()];
            let ([weights, bias], epilogue) = (&packed, Epilogue::default());
            let tensors = Tensors { x: &case.x, weights, bias, images: 16, epilogue, y: &mut y };
            winograd.compute_with(instructions, tensors);
            assert_equal_bits(&best, &y, &case.geometry);
        }
        let alone = few.computed_by(&convolution, packed, Epilogue::default());
        let alone: Vec<f32> = alone.chunks(3).map(|row| row[1]).collect();
        let lane: Vec<f32> = best.chunks(16).map(|row| row[9]).collect();
        assert_equal_bits(&lane, &alone, &case.geometry);
    }
}

#[test]
fn what_follows_is_done_in_its_order() {
    for images in [16, 6] {
        for case in cases(images) {
            let bare = case.computed(Epilogue::default());
            let (residual, gate) = (numbers(bare.len(), 0.53), numbers(bare.len(), 2.9));
            let epilogue = Epilogue { residual: Some(&residual), relu: true, gate: Some(&gate) };
            for (index, value) in case.computed(epilogue).into_iter().enumerate() {
                let sum = (bare[index] + residual[index]).max(0.0);
                assert_eq!(value, if gate[index] > 0.0 { sum } else { 0.0 }, "{:?}, {index}", case.geometry);
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let mut case = Case::new([1, 1], axis(4, 3, 1, 1, 1), axis(4, 3, 1, 1, 1), false, 16);
    case.x[0] = f32::NAN;
    let y = case.computed(Epilogue { relu: true, ..Epilogue::default() });
    assert!(y[0].is_nan() && !y[1].is_nan() && !y[15 * 16].is_nan());
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let case = Case::new([3, 8], axis(8, 3, 1, 1, 1), axis(8, 3, 1, 1, 1), false, 16);
    let convolution = Convolution::new(&case.geometry, false).unwrap();
    let [weights, bias] = &case.packed();
    let part = |weights, bias, block| convolution.part(Packed { weights, bias, block });
    assert_eq!(part(weights, bias, 8), Some(8));
    assert_eq!(part(&weights[1..], bias, 8), None);
    assert_eq!(part(weights, &bias[1..], 8), None);
    assert_eq!(part(weights, bias, 0), None);
    let rows = Axis { kernel: 0, ..case.geometry.rows };
    assert!(Convolution::new(&Geometry { rows, ..case.geometry }, false).is_none());
    for rows in [Axis { stride: 2, ..case.geometry.rows }, Axis { kernel: 5, ..case.geometry.rows }] {
        assert!(Convolution::new(&Geometry { rows, ..case.geometry }, true).is_none());
    }
    assert!(Convolution::new(&Geometry { transposed: true, ..case.geometry }, true).is_none());
}
