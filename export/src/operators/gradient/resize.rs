//! Resize: images at another size.
//!
//! Each element of the result is a weighted sum of elements of the image, and the weights are those of its axes
//! multiplied: one constant matrix for each axis, whose transpose gives the gradient. Operator page: ONNX `Resize-19`;
//! cubic weights: Keys 1981, "Cubic convolution interpolation for digital image processing". Coordinates are computed
//! in `float`, as ONNX Runtime does: that decides which neighbour is the nearest.
//!
//! Where each element is repeated a whole number of times, the gradient is a sum over tiles, for which the matrices are
//! as good as anything else. Measured in ONNX Runtime 1.32 (one thread, user CPU time, medians of 7; 8 × 64 × 56 × 56
//! cotangents in tiles of 2 × 2): matrices 1.7 ms, AveragePool 1.7, depthwise Conv 1.6, ReduceSum 2.0; 8 × 32 × 64 × 64
//! in tiles of 4 × 4: 0.6, 0.7, 0.8, 0.6.

use super::separable::{self, Matrix};
use super::step::Step;
use crate::error::{Error, Result};
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Node, Shape};
use crate::operators::types::resized_axes;

/// `dx`: the transposed weights of each axis.
pub(crate) fn resize(step: &mut Step<'_, '_>) -> Result<()> {
    if !step.wants(0) {
        return Ok(());
    }
    let (x, g) = (step.shape(step.input(0)?)?, step.cotangent()?);
    let y = step.shape(g)?;
    // ONNX Runtime copies an image that keeps its size, even where a scale is not quite one.
    if x == y {
        return step.send(0, |_| Ok(g));
    }
    let sampling = Sampling::from_node(step.node())?;
    let scales = scales(step, &x, &y)?;
    let mut matrices = Vec::new();
    for (axis, scale) in scales.into_iter().enumerate() {
        // Where it smooths, ONNX Runtime leaves an axis alone that keeps its size.
        if x.0[axis] == y.0[axis] && (scale == 1.0 || sampling.antialias) {
            continue;
        }
        let sizes = (x.0[axis].fixed(), y.0[axis].fixed());
        let (Some(input), Some(output)) = sizes else {
            return Err(Error::unsupported(format!("it resizes axis {axis} of {x}, which is the batch")));
        };
        matrices.push((axis, sampling.weights(Resized { input, output, scale })?));
    }
    step.send(0, |builder| {
        let product = |g, (axis, matrix)| separable::adjoint(builder, g, axis, matrix);
        matrices.into_iter().try_fold(g, product)
    })
}

/// Elements of `y` for each element of `x`, by axis.
fn scales(step: &mut Step<'_, '_>, x: &Shape, y: &Shape) -> Result<Vec<f32>> {
    let node = step.node();
    let stretched = node.attributes.text("keep_aspect_ratio_policy", "stretch")? == "stretch";
    let by_sizes = node.optional_input(3).is_some();
    if stretched && by_sizes {
        let ratio = |(before, after)| match (before, after) {
            (Some(before), Some(after)) if before > 0 => after as f32 / before as f32,
            _ => 1.0,
        };
        let sizes = x.0.iter().zip(&y.0).map(|(before, after)| (before.fixed(), after.fixed()));
        return Ok(sizes.map(|sizes: (Option<usize>, Option<usize>)| ratio(sizes)).collect());
    }
    let known = Known::new(LARGEST_FOLLOWED);
    let axes = resized_axes(&NodeView { graph: step.builder().graph(), node, known: &known })?;
    Ok(axes.into_iter().map(|axis| axis.scale).collect())
}

/// One axis.
#[derive(Clone, Copy)]
struct Resized {
    input: usize,
    output: usize,
    scale: f32,
}

/// How elements are chosen and weighted.
struct Sampling {
    mode: Mode,
    coordinates: Coordinates,
    /// Whether elements outside the image get no weight, instead of standing for those at its border.
    exclude_outside: bool,
    /// Whether the weights are stretched when the image shrinks.
    antialias: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    /// One element of weight 1.
    Nearest(Nearest),
    /// Two.
    Linear,
    /// Four, with Keys' coefficient.
    Cubic(f32),
}

/// `nearest_mode`
#[derive(Clone, Copy)]
enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// `coordinate_transformation_mode`
#[derive(Clone, Copy, PartialEq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNearest,
}

impl Sampling {
    fn from_node(node: &Node) -> Result<Self> {
        let unknown =
            |name: &str, found: &str| Error::unsupported(format!("attribute `{name}` is `{found}`"));
        let nearest = match node.attributes.text("nearest_mode", "round_prefer_floor")? {
            "round_prefer_floor" => Nearest::RoundPreferFloor,
            "round_prefer_ceil" => Nearest::RoundPreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return Err(unknown("nearest_mode", other)),
        };
        let mode = match node.attributes.text("mode", "nearest")? {
            "nearest" => Mode::Nearest(nearest),
            "linear" => Mode::Linear,
            "cubic" => Mode::Cubic(node.attributes.float("cubic_coeff_a", -0.75)?),
            other => return Err(unknown("mode", other)),
        };
        let coordinates = match node.attributes.text("coordinate_transformation_mode", "half_pixel")? {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNearest,
            other => return Err(unknown("coordinate_transformation_mode", other)),
        };
        let flag = |name| Ok(node.attributes.int(name, 0)? != 0);
        Ok(Self {
            mode,
            coordinates,
            exclude_outside: flag("exclude_outside")?,
            antialias: flag("antialias")?,
        })
    }

    /// The weights of one axis, `[output, input]`.
    fn weights(&self, axis: Resized) -> Result<Matrix> {
        let mut matrix = Matrix::zeros(axis.output, axis.input)?;
        for row in 0..axis.output {
            let at = self.coordinates.source_position(row, axis);
            for (place, weight) in self.taps(at, axis) {
                matrix.add(row, place, weight);
            }
        }
        Ok(matrix)
    }

    /// Elements and weights for the coordinate `at`.
    fn taps(&self, at: f32, axis: Resized) -> Vec<(usize, f32)> {
        let last = axis.input as f32 - 1.0;
        let shrinks = self.antialias && axis.scale < 1.0;
        match self.mode {
            Mode::Nearest(nearest) => vec![(nearest.round(at).clamp(0.0, last) as usize, 1.0)],
            Mode::Linear if shrinks => self.filtered(at, axis, 1.0, linear),
            Mode::Cubic(a) if shrinks => self.filtered(at, axis, 2.0, |distance| cubic(a, distance)),
            Mode::Linear => {
                let at = at.clamp(0.0, last);
                let (left, part) = (at.floor(), at - at.floor());
                let right = (left + 1.0).min(last);
                vec![(left as usize, 1.0 - part), (right as usize, part)]
            }
            Mode::Cubic(a) => {
                let first = at.floor() as i64 - 1;
                let taps = (first..first + 4).map(|place| (place, cubic(a, at - place as f32)));
                self.within(taps.collect(), axis)
            }
        }
    }

    /// The weights of a filter that is as much wider as the image shrinks.
    fn filtered(
        &self,
        at: f32,
        axis: Resized,
        support: f32,
        filter: impl Fn(f32) -> f32,
    ) -> Vec<(usize, f32)> {
        let (centre, width) = (at + 0.5, support / axis.scale);
        let first = (centre - width + 0.5).floor() as i64;
        let end = (centre + width + 0.5).floor() as i64;
        let weight = |place: i64| filter((place as f32 - centre + 0.5) * axis.scale);
        self.within((first..end).map(|place| (place, weight(place))).collect(), axis)
    }

    /// Weights of elements of the image, summing to 1.
    fn within(&self, taps: Vec<(i64, f32)>, axis: Resized) -> Vec<(usize, f32)> {
        let last = axis.input as i64 - 1;
        let inside = |place: &i64| !self.exclude_outside || (0..=last).contains(place);
        let taps: Vec<(i64, f32)> = taps.into_iter().filter(|(place, _)| inside(place)).collect();
        let total: f32 = taps.iter().map(|(_, weight)| weight).sum();
        let total = if total == 0.0 { 1.0 } else { total };
        taps.into_iter().map(|(place, weight)| (place.clamp(0, last) as usize, weight / total)).collect()
    }
}

impl Nearest {
    fn round(self, at: f32) -> f32 {
        match self {
            Self::RoundPreferFloor if at - at.floor() == 0.5 => at.floor(),
            Self::RoundPreferFloor | Self::RoundPreferCeil => at.round(),
            Self::Floor => at.floor(),
            Self::Ceil => at.ceil(),
        }
    }
}

impl Coordinates {
    /// Where element `row` of the result lies in the image.
    fn source_position(self, row: usize, Resized { input, output, scale }: Resized) -> f32 {
        let row = row as f32;
        let half_pixel = (row + 0.5) / scale - 0.5;
        match self {
            Self::HalfPixel => half_pixel,
            Self::HalfPixelSymmetric => {
                let adjustment = output as f32 / (scale * input as f32);
                let offset = input as f32 / 2.0 * (1.0 - adjustment);
                // In double, as ONNX Runtime does here and only here.
                (f64::from(offset) + (f64::from(row) + 0.5) / f64::from(scale) - 0.5) as f32
            }
            Self::PytorchHalfPixel if output > 1 => half_pixel,
            Self::AlignCorners if output > 1 => row * (input as f32 - 1.0) / (output as f32 - 1.0),
            Self::PytorchHalfPixel | Self::AlignCorners => 0.0,
            Self::Asymmetric => row / scale,
            Self::TfHalfPixelForNearest => (row + 0.5) / scale,
        }
    }
}

fn linear(distance: f32) -> f32 {
    (1.0 - distance.abs()).max(0.0)
}

/// Keys' kernel.
fn cubic(a: f32, distance: f32) -> f32 {
    let d = distance.abs();
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, check_graph, function};
    use crate::graph::{Builder, ValueId};
    use crate::tensor::Tensor;
    use crate::testing::attributes;

    /// The size of the result.
    #[derive(Clone, Copy)]
    enum Size {
        Scales(&'static [f32]),
        Sizes(&'static [i64]),
    }
    use Size::{Scales, Sizes};

    fn resized(builder: &mut Builder<'_>, x: ValueId, size: Size, text: &str) -> Result<ValueId> {
        let inputs = match size {
            Scales(scales) => {
                let scales = builder.constant(Tensor::from_f32(&[scales.len()], scales));
                vec![Some(x), None, Some(scales)]
            }
            Sizes(sizes) => vec![Some(x), None, None, Some(builder.ints(sizes))],
        };
        Ok(builder.node("Resize", inputs, attributes(text), 1)?[0])
    }

    fn check_all(modes: &[&str], sizes: &[Size], further: &str) {
        for mode in modes {
            for (index, size) in sizes.iter().enumerate() {
                let text = format!("{mode} {further}");
                check(&format!("{text}, size {index}"), Domain::Real, batched(&[1, 5, 6]), |builder, x| {
                    resized(builder, x, *size, &text)
                });
            }
        }
    }

    const SIZES: [Size; 6] = [
        Scales(&[1.0, 1.0, 2.0, 3.0]),
        Scales(&[1.0, 1.0, 0.6, 1.7]),
        Scales(&[1.0, 1.0, 0.2, 0.5]),
        Scales(&[1.0, 1.0, 2.5, 0.4]),
        // As many rows as before, but from other places; and an image that keeps its size, which is copied.
        Scales(&[1.0, 1.0, 1.15, 2.0]),
        Scales(&[1.0, 1.0, 1.15, 1.0]),
    ];

    const COORDINATES: [&str; 5] =
        ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"];

    #[test]
    fn nearest_neighbours() {
        for coordinates in COORDINATES {
            let modes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
            let modes = modes.map(|nearest| {
                format!("coordinate_transformation_mode={coordinates} nearest_mode={nearest}")
            });
            check_all(&modes.each_ref().map(String::as_str), &SIZES, "mode=nearest");
        }
    }

    #[test]
    fn linear_and_cubic_weights() {
        let modes = COORDINATES.map(|coordinates| format!("coordinate_transformation_mode={coordinates}"));
        let modes = modes.each_ref().map(String::as_str);
        check_all(&modes, &SIZES, "mode=linear");
        check_all(&modes, &SIZES, "mode=cubic");
        check_all(&modes, &SIZES, "mode=cubic cubic_coeff_a=-0.5 exclude_outside=1");
    }

    #[test]
    fn antialiased_weights() {
        let modes =
            ["mode=linear", "mode=cubic", "mode=cubic exclude_outside=1", "mode=linear exclude_outside=1"];
        check_all(&modes, &SIZES, "antialias=1");
    }

    #[test]
    fn sizes_axes_and_policies() {
        let cases = [
            (&[4, 7][..], "axes=[2,3] mode=linear"),
            (&[7, 4], "axes=[-1,2] mode=cubic"),
            (&[7, 9], "axes=[2,3] mode=linear keep_aspect_ratio_policy=not_larger"),
            (&[3, 5], "axes=[2,3] mode=linear keep_aspect_ratio_policy=not_smaller"),
            (&[3, 10], "axes=[1,2]"),
        ];
        for (sizes, text) in cases {
            check(text, Domain::Real, batched(&[1, 5, 6]), |builder, x| {
                resized(builder, x, Sizes(sizes), text)
            });
        }
        for (dims, sizes) in [(&[2, 5][..], &[2, 8][..]), (&[1, 3, 4, 2], &[1, 5, 2, 4])] {
            check(
                &format!("linear {dims:?}"),
                Domain::Real,
                Shape::fixed(&[&[2], dims].concat()),
                |builder, x| {
                    let sizes = builder.ints(&[&[2], sizes].concat());
                    Ok(builder.node(
                        "Resize",
                        vec![Some(x), None, None, Some(sizes)],
                        attributes("mode=linear"),
                        1,
                    )?[0])
                },
            );
        }
    }

    #[test]
    fn each_axis_is_a_matrix() {
        let graph = function(batched(&[2, 2, 3]), |builder, x| {
            resized(builder, x, Scales(&[1.0, 1.0, 2.0, 1.5]), "mode=linear")
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
        const %gradient/f/Resize/constant: f32[2, 4] = [1.0, 0.75, 0.25, 0.0, 0.0, 0.25, 0.75, 1.0]
        const %gradient/f/Resize/constant_2: f32[4, 3] = sha256:73eee006c7c47d296054c8eac9d042f962f8f7cec74a7ee250ecbebdc52e36f5
        %gradient/f/Resize/MatMul: f32[N, 2, 2, 4] = MatMul(%gradient/f/Resize/constant, %g)
        %gradient/f/Resize/MatMul_2: f32[N, 2, 2, 3] = MatMul(%gradient/f/Resize/MatMul, %gradient/f/Resize/constant_2)
        %dx/Identity: f32[N, 2, 2, 3] = Identity(%gradient/f/Resize/MatMul_2)
        ");
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let graph = function(batched(&[2, 2, 3]), |builder, x| {
            resized(builder, x, Scales(&[1.0, 1.0, 2.0, 1.5]), "mode=lanczos")
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("attribute `mode` is `lanczos`"), "{error}");
    }

    #[test]
    fn nearest_neighbours_as_tensorflow_counts_them() {
        for size in SIZES {
            let mut graph = function(batched(&[1, 5, 6]), |builder, x| {
                resized(builder, x, size, "mode=nearest coordinate_transformation_mode=tf_half_pixel_for_nn")
            })
            .unwrap();
            // The last opset that has these coordinates.
            graph.opset = 18;
            check_graph("tf_half_pixel_for_nn", Domain::Real, &graph);
        }
    }
}
