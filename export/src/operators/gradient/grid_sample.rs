//! GridSample: an image read at places that a grid names.
//!
//! `y_p = Σ_t w_t(u_p) · x_{i_t(u_p)}`, where `u` are the places in pixels, and `t` runs over the neighbours that the mode
//! reads along each axis: 1 (nearest), 2 (linear) or 4 (cubic). The weight of a neighbour is a polynomial in the
//! fraction of `u`; padding only decides which pixel a neighbour outside the image is. So
//! - `dx_i = Σ g_p · w_t` over all `p` and `t` whose neighbour is `i`: a product with a constant matrix where the grid is
//!   the same constant for every image, else a scatter that adds;
//! - `du_p = Σ_t w_t'(u_p) · ⟨g_p, x_{i_t}⟩`, summed over channels; the slope between two integers is that of the cell to
//!   the right. The places of `nearest` have none.
//!
//! The formulas are those of ONNX Runtime's kernel and of PyTorch's `grid_sampler`, which read the same neighbours.
//! Cubic weights: Keys, "Cubic convolution interpolation for digital image processing", 1981, with `a = −3/4`. Operator
//! page: ONNX `GridSample-20`.

use super::broadcast::reshape;
use super::scatter::zeros_like;
use super::separable::{self, Matrix};
use super::step::Step;
use crate::error::{Error, Result};
use crate::facts::fixed;
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// Largest matrix of a constant grid, in elements.
const LARGEST_MATRIX: usize = 1 << 22;

/// A neighbour along one axis: its distance to `⌊u⌋` (of `nearest`, to `u` rounded), and the coefficients of its
/// weight, a polynomial in the fraction of `u`, lowest first.
struct Neighbour {
    offset: f32,
    weight: &'static [f32],
}

const NEAREST: [Neighbour; 1] = [Neighbour { offset: 0.0, weight: &[1.0] }];

const LINEAR: [Neighbour; 2] =
    [Neighbour { offset: 0.0, weight: &[1.0, -1.0] }, Neighbour { offset: 1.0, weight: &[0.0, 1.0] }];

const CUBIC: [Neighbour; 4] = [
    Neighbour { offset: -1.0, weight: &[0.0, -0.75, 1.5, -0.75] },
    Neighbour { offset: 0.0, weight: &[1.0, 0.0, -2.25, 1.25] },
    Neighbour { offset: 1.0, weight: &[0.0, 0.75, 1.5, -1.25] },
    Neighbour { offset: 2.0, weight: &[0.0, 0.0, -0.75, 0.75] },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// What the attributes and the shape of the image say.
struct Sampling {
    neighbours: &'static [Neighbour],
    padding: Padding,
    align_corners: bool,
    /// Height and width, or depth, height and width.
    sizes: Vec<usize>,
}

impl Sampling {
    fn new(step: &Step<'_, '_>) -> Result<Self> {
        let attributes = &step.node().attributes;
        let neighbours: &'static [Neighbour] = match attributes.text("mode", "linear")? {
            "nearest" => &NEAREST,
            // Opset 16 has the names of two dimensions.
            "linear" | "bilinear" => &LINEAR,
            "cubic" | "bicubic" => &CUBIC,
            other => return Err(Error::format(format!("mode `{other}`, wanted linear, nearest or cubic"))),
        };
        let padding = match attributes.text("padding_mode", "zeros")? {
            "zeros" => Padding::Zeros,
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            other => {
                let message = format!("padding_mode `{other}`, wanted zeros, border or reflection");
                return Err(Error::format(message));
            }
        };
        let align_corners = attributes.int("align_corners", 0)? != 0;
        let shape = step.shape(step.input(0)?)?;
        let sizes = shape.0[2..].iter().map(|dim| fixed(*dim, "the image")).collect::<Result<_>>()?;
        Ok(Self { neighbours, padding, align_corners, sizes })
    }

    /// `u = scale · v + shift` for a normalised place `v` on an axis of `size` pixels.
    fn scale_and_shift(&self, size: usize) -> [f32; 2] {
        let size = size as f32;
        let scale = if self.align_corners { size - 1.0 } else { size };
        [scale / 2.0, (size - 1.0) / 2.0]
    }

    fn base(&self, place: f32) -> f32 {
        if self.neighbours.len() == 1 { place.round_ties_even() } else { place.floor() }
    }

    /// The pixel that stands for number `index` of an axis; `None` for a zero.
    fn padded(&self, index: f32, size: usize) -> Option<usize> {
        let last = (size - 1) as f32;
        let found = match self.padding {
            Padding::Zeros if !(0.0..=last).contains(&index) => return None,
            Padding::Zeros | Padding::Border => index,
            Padding::Reflection => {
                let [low, range] = self.mirrors(size);
                if range == 0.0 {
                    0.0
                } else {
                    low + range - ((index - low).rem_euclid(2.0 * range) - range).abs()
                }
            }
        };
        Some(found.clamp(0.0, last) as usize)
    }

    /// The left mirror of a reflection, and the distance to the right one.
    fn mirrors(&self, size: usize) -> [f32; 2] {
        if self.align_corners { [0.0, size as f32 - 1.0] } else { [-0.5, size as f32] }
    }

    /// Every choice of one neighbour for each axis.
    fn combinations(&self) -> Vec<Vec<usize>> {
        self.sizes.iter().fold(vec![Vec::new()], |chosen, _| {
            let extend = |prefix: &Vec<usize>, next| [&prefix[..], &[next]].concat();
            chosen
                .iter()
                .flat_map(|prefix| (0..self.neighbours.len()).map(move |next| extend(prefix, next)))
                .collect()
        })
    }

    /// Elements between two pixels that follow each other along each axis.
    fn strides(&self) -> Vec<usize> {
        (0..self.sizes.len()).map(|axis| self.sizes[axis + 1..].iter().product()).collect()
    }

    fn pixels(&self) -> usize {
        self.sizes.iter().product()
    }
}

/// See the module.
pub(crate) fn grid_sample(step: &mut Step<'_, '_>) -> Result<()> {
    let sampling = Sampling::new(step)?;
    let [x, grid, g] = [step.input(0)?, step.input(1)?, step.cotangent()?];
    let (x_shape, grid_shape) = (step.shape(x)?, step.shape(grid)?);
    let places = grid_shape.0[1..grid_shape.rank() - 1].iter().map(|dim| fixed(*dim, "the grid"));
    let places: usize = places.collect::<Result<Vec<_>>>()?.iter().product();
    let [n, c] = [x_shape.0[0], x_shape.0[1]];
    let g = reshape(step.builder(), g, &Shape(vec![n, c, Dim::Fixed(places)]))?; // [N, C, P]
    if !step.wants(1)
        && let Some(matrix) = constant_matrix(step, &sampling, grid, places)?
    {
        return step.send(0, |builder| {
            let dx = separable::adjoint(builder, g, 2, matrix)?; // [N, C, HW]
            reshape(builder, dx, &x_shape)
        });
    }
    let flat = Shape(vec![n, Dim::Fixed(places), Dim::Fixed(sampling.sizes.len())]);
    let grid = reshape(step.builder(), grid, &flat)?;
    let reads = Reads::new(step.builder(), &sampling, grid)?;
    let pixels = Shape(vec![n, c, Dim::Fixed(sampling.pixels())]);
    let x = reshape(step.builder(), x, &pixels)?;
    step.send(0, |builder| {
        let dx = reads.to_image(builder, x, g)?;
        reshape(builder, dx, &x_shape)
    })?;
    if sampling.neighbours.len() == 1 {
        return Ok(());
    }
    step.send(1, |builder| {
        let dv = reads.to_grid(builder, &sampling, x, g)?;
        reshape(builder, dv, &grid_shape)
    })
}

/// `[P, HW]`: the weight of each pixel at each place, where the grid is one constant for all images.
fn constant_matrix(
    step: &mut Step<'_, '_>,
    sampling: &Sampling,
    grid: ValueId,
    places: usize,
) -> Result<Option<Matrix>> {
    let (axes, pixels) = (sampling.sizes.len(), sampling.pixels());
    if places.checked_mul(pixels).is_none_or(|elements| elements > LARGEST_MATRIX) {
        return Ok(None);
    }
    let Some(grid) = constant_grid(step, grid).filter(|grid| grid.len() == places * axes) else {
        return Ok(None);
    };
    let (combinations, strides) = (sampling.combinations(), sampling.strides());
    let mut matrix = Matrix::zeros(places, pixels)?;
    for (place, coordinates) in grid.chunks(axes).enumerate() {
        for combination in &combinations {
            let mut read = Some((0, 1.0));
            for (axis, neighbour) in combination.iter().enumerate() {
                let size = sampling.sizes[axis];
                let [scale, shift] = sampling.scale_and_shift(size);
                let at = coordinates[axes - 1 - axis] * scale + shift;
                let (base, neighbour) = (sampling.base(at), &sampling.neighbours[*neighbour]);
                let index = sampling.padded(base + neighbour.offset, size);
                let weight = polynomial(neighbour.weight, at - base);
                read = read
                    .zip(index)
                    .map(|((flat, product), index)| (flat + index * strides[axis], product * weight));
            }
            if let Some((pixel, weight)) = read {
                matrix.add(place, pixel, weight);
            }
        }
    }
    Ok(Some(matrix))
}

fn polynomial(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().rev().fold(0.0, |value, coefficient| value * x + coefficient)
}

/// The grid of one image, if it is a constant that all share: repeated by an Expand, or a batch of one.
fn constant_grid(step: &mut Step<'_, '_>, grid: ValueId) -> Option<Vec<f32>> {
    let graph = step.builder().graph();
    let constant = match graph.constant(grid) {
        Some(constant) => constant,
        None => {
            let node = graph.node(*graph.producers().get(&grid)?);
            graph.constant(node.optional_input(0).filter(|_| node.op_type == "Expand")?)?
        }
    };
    let of_one = constant.dims().first() == Some(&1) && constant.dtype() == DataType::Float32;
    of_one.then(|| constant.to_f32())?
}

/// One axis: the pixel that each neighbour is, its weight and the slope of the weight, each `[N, P]`.
struct AxisReads {
    indices: Vec<ValueId>,
    weights: Vec<ValueId>,
    slopes: Vec<ValueId>,
}

/// What every place reads, for all combinations of neighbours.
struct Reads {
    axes: Vec<AxisReads>,
    combinations: Vec<Vec<usize>>,
    /// `[N, T·P]`: pixels.
    indices: ValueId,
}

impl Reads {
    fn new(builder: &mut Builder<'_>, sampling: &Sampling, grid: ValueId) -> Result<Self> {
        let count = sampling.sizes.len();
        let mut axes = Vec::with_capacity(count);
        for (axis, size) in sampling.sizes.iter().enumerate() {
            // The last coordinate is that of the first axis.
            let coordinate = builder.constant(Tensor::from_i64(&[], &[(count - 1 - axis) as i64]));
            let at = builder.op_with("Gather", &[grid, coordinate], [("axis", 2.into())])?;
            axes.push(AxisReads::new(builder, sampling, at, *size)?);
        }
        let (combinations, strides) = (sampling.combinations(), sampling.strides());
        let mut flat = Vec::with_capacity(combinations.len());
        for combination in &combinations {
            let mut sum = None;
            for ((axis, neighbour), stride) in axes.iter().zip(combination).zip(&strides) {
                let stride = builder.scalar(*stride as f32);
                let term = builder.op("Mul", &[axis.indices[*neighbour], stride])?;
                sum = Some(match sum {
                    Some(sum) => builder.op("Add", &[sum, term])?,
                    None => term,
                });
            }
            flat.extend(sum);
        }
        let indices = builder.op_with("Concat", &flat, [("axis", 1.into())])?;
        let indices = builder.cast(indices, DataType::Int64)?;
        Ok(Self { axes, combinations, indices })
    }

    /// The weight of a combination, with the slope in place of the weight along `sloped`: `[N, P]`.
    fn weight(
        &self,
        builder: &mut Builder<'_>,
        combination: &[usize],
        sloped: Option<usize>,
    ) -> Result<ValueId> {
        let factor = |(axis, neighbour): (usize, &usize)| {
            let reads = &self.axes[axis];
            if sloped == Some(axis) { reads.slopes[*neighbour] } else { reads.weights[*neighbour] }
        };
        let mut factors = combination.iter().enumerate().map(factor);
        let first = factors.next().ok_or_else(|| Error::shape("its image has no axes"))?;
        factors.try_fold(first, |product, factor| builder.op("Mul", &[product, factor]))
    }

    /// The indices for every channel of `[N, C, T·P]`.
    fn indices_like(&self, builder: &mut Builder<'_>, like: ValueId) -> Result<ValueId> {
        let (axis, shape) = (builder.ints(&[1]), builder.op("Shape", &[like])?);
        let indices = builder.op("Unsqueeze", &[self.indices, axis])?;
        builder.op("Expand", &[indices, shape])
    }

    /// `dx`, `[N, C, HW]`.
    fn to_image(&self, builder: &mut Builder<'_>, x: ValueId, g: ValueId) -> Result<ValueId> {
        let mut parts = Vec::with_capacity(self.combinations.len());
        for combination in &self.combinations {
            let (weight, axis) = (self.weight(builder, combination, None)?, builder.ints(&[1]));
            let weight = builder.op("Unsqueeze", &[weight, axis])?; // [N, 1, P]
            parts.push(builder.op("Mul", &[g, weight])?);
        }
        let updates = builder.op_with("Concat", &parts, [("axis", 2.into())])?; // [N, C, T·P]
        let (places, zeros) = (self.indices_like(builder, updates)?, zeros_like(builder, x)?);
        let attributes = [("axis", 2.into()), ("reduction", "add".into())];
        builder.op_with("ScatterElements", &[zeros, places, updates], attributes)
    }

    /// The cotangent of the normalised places, `[N, P, axes]`.
    fn to_grid(
        &self,
        builder: &mut Builder<'_>,
        sampling: &Sampling,
        x: ValueId,
        g: ValueId,
    ) -> Result<ValueId> {
        let repeated = vec![g; self.combinations.len()];
        let g = builder.op_with("Concat", &repeated, [("axis", 2.into())])?; // [N, C, T·P]
        let places = self.indices_like(builder, g)?;
        let read = builder.op_with("GatherElements", &[x, places], [("axis", 2.into())])?;
        let (product, axis) = (builder.op("Mul", &[g, read])?, builder.ints(&[1]));
        let along_channels = [("keepdims", 0.into())];
        let sums = builder.op_with("ReduceSum", &[product, axis], along_channels)?; // [N, T·P]
        let sums = self.split(builder, sums)?;
        let mut slopes = Vec::with_capacity(self.axes.len());
        for (axis, size) in sampling.sizes.iter().enumerate() {
            let mut total = None;
            for (combination, sum) in self.combinations.iter().zip(&sums) {
                let slope = self.weight(builder, combination, Some(axis))?;
                let term = builder.op("Mul", &[*sum, slope])?;
                total = Some(match total {
                    Some(total) => builder.op("Add", &[total, term])?,
                    None => term,
                });
            }
            let scale = builder.scalar(sampling.scale_and_shift(*size)[0]);
            let total = total.ok_or_else(|| Error::shape("its image has no axes"))?;
            let last = builder.ints(&[2]);
            let scaled = builder.op("Mul", &[total, scale])?;
            slopes.push(builder.op("Unsqueeze", &[scaled, last])?);
        }
        // The first axis is the last coordinate.
        slopes.reverse();
        builder.op_with("Concat", &slopes, [("axis", 2.into())])
    }

    /// `[N, T·P]` as `T` pieces of `[N, P]`.
    fn split(&self, builder: &mut Builder<'_>, sums: ValueId) -> Result<Vec<ValueId>> {
        let (count, shape) = (self.combinations.len(), builder.graph().shape(sums)?.clone());
        let places = fixed(shape.0[1], "the grid")? / count;
        let pieces = (0..count).map(|piece| {
            let bounds = [piece * places, (piece + 1) * places].map(|at| builder.ints(&[at as i64]));
            let axis = builder.ints(&[1]);
            builder.op("Slice", &[sums, bounds[0], bounds[1], axis])
        });
        pieces.collect()
    }
}

impl AxisReads {
    /// Of normalised places `[N, P]` on an axis of `size` pixels.
    fn new(builder: &mut Builder<'_>, sampling: &Sampling, at: ValueId, size: usize) -> Result<Self> {
        let [scale, shift] = sampling.scale_and_shift(size).map(|value| builder.scalar(value));
        let scaled = builder.op("Mul", &[at, scale])?;
        let at = builder.op("Add", &[scaled, shift])?; // in pixels
        let rounding = if sampling.neighbours.len() == 1 { "Round" } else { "Floor" };
        let base = builder.op(rounding, &[at])?;
        let fraction = builder.op("Sub", &[at, base])?;
        let mut reads = Self { indices: Vec::new(), weights: Vec::new(), slopes: Vec::new() };
        for neighbour in sampling.neighbours {
            let offset = builder.scalar(neighbour.offset);
            let index = builder.op("Add", &[base, offset])?;
            let (index, inside) = padded_index(builder, sampling, index, size)?;
            let slope: Vec<f32> = neighbour
                .weight
                .iter()
                .enumerate()
                .skip(1)
                .map(|(power, value)| power as f32 * value)
                .collect();
            for (coefficients, values) in
                [(neighbour.weight, &mut reads.weights), (&slope[..], &mut reads.slopes)]
            {
                let value = polynomial_of(builder, coefficients, fraction)?;
                values.push(match inside {
                    Some(inside) => builder.op("Mul", &[value, inside])?,
                    None => value,
                });
            }
            reads.indices.push(index);
        }
        Ok(reads)
    }
}

/// The pixel of a neighbour, and for zeros whether it lies inside, as 0 or 1.
fn padded_index(
    builder: &mut Builder<'_>,
    sampling: &Sampling,
    index: ValueId,
    size: usize,
) -> Result<(ValueId, Option<ValueId>)> {
    let index = match sampling.padding {
        Padding::Reflection => reflected(builder, sampling, index, size)?,
        Padding::Zeros | Padding::Border => index,
    };
    let [first, last] = [0.0, size as f32 - 1.0].map(|bound| builder.scalar(bound));
    let clipped = builder.op("Clip", &[index, first, last])?;
    if sampling.padding != Padding::Zeros {
        return Ok((clipped, None));
    }
    let inside = builder.op("Equal", &[clipped, index])?;
    Ok((clipped, Some(builder.cast(inside, DataType::Float32)?)))
}

/// `low + r − |((i − low) mod 2r) − r|` for mirrors at `low` and `low + r`.
fn reflected(builder: &mut Builder<'_>, sampling: &Sampling, index: ValueId, size: usize) -> Result<ValueId> {
    let [low, range] = sampling.mirrors(size);
    if range == 0.0 {
        return Ok(index);
    }
    let [low_value, period, range_value, high] =
        [low, 2.0 * range, range, low + range].map(|value| builder.scalar(value));
    let from_low = builder.op("Sub", &[index, low_value])?;
    let periods = builder.op("Div", &[from_low, period])?;
    let periods = builder.op("Floor", &[periods])?;
    let whole = builder.op("Mul", &[periods, period])?;
    let rest = builder.op("Sub", &[from_low, whole])?;
    let distance = builder.op("Sub", &[rest, range_value])?;
    let distance = builder.op("Abs", &[distance])?;
    builder.op("Sub", &[high, distance])
}

/// A polynomial of `x`, of the shape of `x`; without coefficients zero.
fn polynomial_of(builder: &mut Builder<'_>, coefficients: &[f32], x: ValueId) -> Result<ValueId> {
    let (highest, rest) = coefficients.split_last().unwrap_or((&0.0, &[]));
    let zero = builder.scalar(0.0);
    let zeros = builder.op("Mul", &[x, zero])?;
    let highest = builder.scalar(*highest);
    let mut value = builder.op("Add", &[zeros, highest])?;
    for coefficient in rest.iter().rev() {
        let coefficient = builder.scalar(*coefficient);
        value = builder.op("Mul", &[value, x])?;
        value = builder.op("Add", &[value, coefficient])?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::graph::{Attribute, Graph};

    const MODES: [&str; 3] = ["linear", "nearest", "cubic"];
    const PADDINGS: [&str; 3] = ["zeros", "border", "reflection"];

    /// Six places in an image of 4 × 5 pixels, inside and outside: odd multiples of a quarter of a pixel, away from the
    /// lines where the slope changes.
    fn places(align: i64) -> Vec<f32> {
        let place = |index: usize, size: usize| {
            let at = (2.0 * (index * 7 % (2 * size + 3)) as f32 - 3.0) / 4.0;
            let size = size as f32;
            if align == 1 { 2.0 * at / (size - 1.0) - 1.0 } else { (2.0 * at + 1.0) / size - 1.0 }
        };
        (0..6).flat_map(|index| [place(index, 5), place(index + 3, 4)]).collect()
    }

    fn attributes(mode: &str, padding: &str, align: i64) -> [(&'static str, Attribute); 3] {
        [("mode", mode.into()), ("padding_mode", padding.into()), ("align_corners", align.into())]
    }

    /// `x` sampled by one grid for all images.
    fn by_constant(
        builder: &mut Builder<'_>,
        x: ValueId,
        (mode, padding, align): (&str, &str, i64),
    ) -> Result<ValueId> {
        let grid = builder.constant(Tensor::from_f32(&[1, 3, 2, 2], &places(align)));
        let size = builder.op_with("Shape", &[x], [("start", 0.into()), ("end", 1.into())])?;
        let rest = builder.ints(&[3, 2, 2]);
        let shape = builder.op_with("Concat", &[size, rest], [("axis", 0.into())])?;
        let grid = builder.op("Expand", &[grid, shape])?;
        builder.op_with("GridSample", &[x, grid], attributes(mode, padding, align))
    }

    fn all_forms() -> impl Iterator<Item = (&'static str, &'static str, i64)> {
        let paddings = |mode| PADDINGS.into_iter().map(move |padding| (mode, padding));
        MODES
            .into_iter()
            .flat_map(paddings)
            .flat_map(|(mode, padding)| [0, 1].map(|align| (mode, padding, align)))
    }

    #[test]
    fn images_at_constant_places() {
        for form in all_forms() {
            check(&format!("{form:?}"), Domain::Real, batched(&[2, 4, 5]), |builder, x| {
                let y = by_constant(builder, x, form)?;
                builder.op("Mul", &[y, y])
            });
        }
    }

    /// A grid that depends on the input by less than a quarter of a pixel.
    fn moved_grid(builder: &mut Builder<'_>, x: ValueId, align: i64) -> Result<ValueId> {
        let (starts, ends) = (builder.ints(&[0, 0]), builder.ints(&[3, 2]));
        let axes = builder.ints(&[2, 3]);
        let part = builder.op("Slice", &[x, starts, ends, axes])?;
        let part = builder.op_with("Transpose", &[part], [("perm", vec![0, 2, 3, 1].into())])?;
        let share = builder.scalar(0.01);
        let little = builder.op("Mul", &[part, share])?;
        let constant = builder.constant(Tensor::from_f32(&[1, 3, 2, 2], &places(align)));
        builder.op("Add", &[little, constant])
    }

    #[test]
    fn computed_places() {
        for (mode, padding, align) in all_forms() {
            check(&format!("{mode} {padding} {align}"), Domain::Real, batched(&[2, 4, 5]), |builder, x| {
                let grid = moved_grid(builder, x, align)?;
                builder.op_with("GridSample", &[x, grid], attributes(mode, padding, align))
            });
        }
    }

    /// Only the places depend on the input, so that nothing hides their gradient. Of cubic weights the differences are not
    /// exact enough at this tolerance.
    #[test]
    fn computed_places_of_a_constant_image() {
        for (mode, padding, align) in all_forms().filter(|(mode, ..)| *mode == "linear") {
            check(&format!("{mode} {padding} {align}"), Domain::Real, batched(&[2, 4, 5]), |builder, x| {
                let zero = builder.scalar(0.0);
                let nothing = builder.op("Mul", &[x, zero])?;
                let image = builder.constant(Numbers::new(9).tensor(&[1, 2, 4, 5]));
                let image = builder.op("Add", &[nothing, image])?;
                let grid = moved_grid(builder, x, align)?;
                builder.op_with("GridSample", &[image, grid], attributes(mode, padding, align))
            });
        }
    }

    #[test]
    fn volumes() {
        for (mode, padding) in [("linear", "zeros"), ("nearest", "border"), ("linear", "reflection")] {
            check(&format!("{mode} {padding}"), Domain::Real, batched(&[2, 3, 2, 4]), |builder, x| {
                let constant = builder.constant(Tensor::from_f32(&[1, 1, 2, 2, 3], &places(0)));
                let (zero, axes) = (builder.scalar(0.0), builder.ints(&[1, 2, 3, 4]));
                let sums = builder.op("ReduceSum", &[x, axes])?;
                let none = builder.op("Mul", &[sums, zero])?; // [N, 1, 1, 1, 1]
                let grid = builder.op("Add", &[constant, none])?;
                builder.op_with("GridSample", &[x, grid], attributes(mode, padding, 0))
            });
        }
    }

    #[test]
    fn a_constant_grid_is_a_matrix_and_a_computed_one_is_scattered() {
        let form = ("linear", "zeros", 0);
        let constant = function(batched(&[2, 4, 5]), |builder, x| by_constant(builder, x, form)).unwrap();
        let text = backward_text(&constant);
        assert!(text.contains("MatMul") && !text.contains("Scatter"), "{text}");
        let computed: Graph = function(batched(&[2, 4, 5]), |builder, x| {
            let grid = builder.constant(Tensor::from_f32(&[1, 3, 2, 2], &places(0)));
            let (zero, axes) = (builder.scalar(0.0), builder.ints(&[1, 2, 3]));
            let sums = builder.op("ReduceSum", &[x, axes])?;
            let none = builder.op("Mul", &[sums, zero])?;
            let grid = builder.op("Add", &[grid, none])?;
            builder.op("GridSample", &[x, grid])
        })
        .unwrap();
        let text = backward_text(&computed);
        assert!(text.contains("ScatterElements") && text.contains("GatherElements"), "{text}");
    }

    /// A checkerboard at three places, with weights by hand.
    #[test]
    fn weights_by_hand() {
        let sampling = Sampling {
            neighbours: &LINEAR,
            padding: Padding::Zeros,
            align_corners: false,
            sizes: vec![2, 2],
        };
        assert_eq!(sampling.scale_and_shift(2), [1.0, 0.5]);
        assert_eq!(
            [-1.0, 0.0, 1.0, 2.0].map(|index| sampling.padded(index, 2)),
            [None, Some(0), Some(1), None]
        );
        for (align_corners, wanted) in [(false, [1, 0, 0, 1, 2, 2, 1]), (true, [2, 1, 0, 1, 2, 1, 0])] {
            let mirrored = Sampling { padding: Padding::Reflection, align_corners, ..sampling_of() };
            let found = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0].map(|index| mirrored.padded(index, 3).unwrap());
            assert_eq!(found, wanted, "{align_corners}");
        }
        for neighbours in [&LINEAR[..], &CUBIC] {
            for fraction in [0.0, 0.3, 0.9] {
                let sum: f32 = neighbours.iter().map(|one| polynomial(one.weight, fraction)).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{sum}");
            }
        }
    }

    fn sampling_of() -> Sampling {
        Sampling { neighbours: &LINEAR, padding: Padding::Zeros, align_corners: false, sizes: vec![3, 3] }
    }
}
