//! Graphs that are valid by construction: a few operators over a pool of values, chosen by the bytes.

use arbitrary::Unstructured;
use mimir_export::graph::{Attribute, Builder, Dim, Graph, Shape, TensorType, ValueId};
use mimir_export::upgrade::WORKING_OPSET;
use mimir_export::{DataType, Error, Result, Tensor};

/// How far a graph may stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freedom {
    /// Images of a batch may influence each other, and operators may cut gradients.
    Anything,
    /// A function of each image alone whose derivative is its derivative almost everywhere.
    Differentiable,
}

/// The most values of an intermediate result of one image.
const MOST_VALUES: usize = 2_048;

/// A classifier of small images, `[N, C, H, W]` to `[N, K]`.
pub(crate) fn composed(bytes: &[u8], freedom: Freedom) -> Option<Graph> {
    let mut choice = Choice(Unstructured::new(bytes));
    let dims = [choice.up_to(3), choice.up_to(5), choice.up_to(5)];
    let mut graph = Graph::new("composed", WORKING_OPSET);
    let shape = Shape([Dim::N].into_iter().chain(dims.map(Dim::Fixed)).collect());
    let images = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape })).ok()?;
    graph.add_input(images);
    let mut pool = vec![images];
    for step in 0..choice.up_to(14) {
        let before = graph.clone();
        let mut builder = Builder::new(&mut graph, format!("n{step}"));
        match choice.operator(&mut builder, &pool, freedom) {
            Ok(value) if is_small(&graph, value) => pool.push(value),
            // An operator that its inputs do not fit: the graph is as it was.
            _ => graph = before,
        }
    }
    let last = *pool.last()?;
    head(&mut graph, last, &mut choice).ok()?;
    graph.prune();
    Some(graph)
}

fn is_small(graph: &Graph, value: ValueId) -> bool {
    let fixed = |shape: &Shape| {
        let (batch, rest) = shape.0.split_first()?;
        let sizes = rest.iter().map(|dim| dim.fixed()).collect::<Option<Vec<usize>>>()?;
        Some((*batch == Dim::N, sizes.into_iter().try_fold(1_usize, usize::checked_mul)?))
    };
    let shape = graph.shape(value).ok().and_then(fixed);
    shape.is_some_and(|(has_batch, values)| has_batch && (1..=MOST_VALUES).contains(&values))
}

/// Logits of all values, and where the bytes say so the image itself once more.
fn head(graph: &mut Graph, last: ValueId, choice: &mut Choice<'_>) -> Result<()> {
    let classes = 1 + choice.up_to(4);
    let seed = choice.byte();
    let mut builder = Builder::new(graph, "head");
    let flat = builder.op_with("Flatten", &[last], [("axis", Attribute::Int(1))])?;
    let width = width(&builder, flat)?;
    let weights = builder.constant(numbers(&[width, classes], seed, 1.0 / (width as f32).sqrt()));
    let logits = builder.op("MatMul", &[flat, weights])?;
    graph.add_output(logits);
    Ok(())
}

fn width(builder: &Builder<'_>, value: ValueId) -> Result<usize> {
    let dims = dims(builder, value)?;
    Ok(dims.last().copied().unwrap_or(1))
}

/// The dimensions of one image's part of a value.
fn dims(builder: &Builder<'_>, value: ValueId) -> Result<Vec<usize>> {
    let shape = builder.graph().shape(value)?;
    let fixed = shape.0.iter().skip(1).map(|dim| dim.fixed());
    fixed.collect::<Option<_>>().ok_or_else(|| Error::shape("a dimension that is not fixed"))
}

/// Numbers in `scale · [-1, 1]`, the same for the same seed.
fn numbers(dims: &[usize], seed: u8, scale: f32) -> Tensor {
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * scale
    };
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| next()).collect();
    Tensor::from_f32(dims, &values)
}

/// Decisions that the bytes make; the first of each where there are no more bytes.
struct Choice<'b>(Unstructured<'b>);

/// Operators of one input and no attributes, smooth but for kinks.
const UNARY: [&str; 19] = [
    "Relu",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Neg",
    "Abs",
    "Exp",
    "Erf",
    "Sin",
    "Cos",
    "HardSwish",
    "Elu",
    "Selu",
    "Mish",
    "Identity",
    "LeakyRelu",
    "Gelu",
    "HardSigmoid",
];

const BINARY: [&str; 5] = ["Add", "Sub", "Mul", "Min", "Max"];

/// Operators without a derivative, or with one that is nothing but zero.
const FLAT: [&str; 4] = ["Floor", "Round", "Sign", "Ceil"];

impl Choice<'_> {
    fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// From 1 to `most`.
    fn up_to(&mut self, most: usize) -> usize {
        1 + usize::from(self.byte()) % most
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.up_to(all.len()) - 1]
    }

    fn yes(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// One more operator over the pool.
    fn operator(&mut self, builder: &mut Builder<'_>, pool: &[ValueId], freedom: Freedom) -> Result<ValueId> {
        let value = if self.yes() { self.of(pool) } else { pool[pool.len() - 1] };
        let wild = freedom == Freedom::Anything;
        match self.up_to(20) {
            1..=3 => builder.op(self.of(&UNARY), &[value]),
            4 | 5 => {
                let other = self.of(pool);
                builder.op(self.of(&BINARY), &[value, other])
            }
            6 => self.with_constant(builder, value),
            7 => self.convolution(builder, value),
            8 => self.matmul(builder, value),
            9 => self.pool(builder, value),
            10 => self.reduction(builder, value, wild),
            11 => self.normalisation(builder, value),
            12 => self.transposition(builder, value, wild),
            13 => self.reshaping(builder, value),
            14 => self.selection(builder, value),
            15 => self.padding(builder, value),
            16 => self.concatenation(builder, value, pool),
            17 => self.division(builder, value, pool),
            18 => self.condition(builder, value, pool),
            19 => self.attention(builder, value),
            _ if wild => builder.op(self.of(&FLAT), &[value]),
            _ => self.clip(builder, value),
        }
    }

    fn with_constant(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let dims = dims(builder, value)?;
        let seed = self.byte();
        // Of the last axes: broadcasting.
        let kept = usize::from(self.byte()) % (dims.len() + 1);
        let constant = builder.constant(numbers(&dims[dims.len() - kept..], seed, 1.5));
        let operator = self.of(&BINARY);
        match self.yes() {
            true => builder.op(operator, &[value, constant]),
            false => builder.op(operator, &[constant, value]),
        }
    }

    fn convolution(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let &[channels, ..] = dims(builder, value)?.as_slice() else {
            return Err(Error::shape("no channels"));
        };
        let (group, filters) = if self.yes() { (channels, channels) } else { (1, self.up_to(4)) };
        let kernel = [self.up_to(3), self.up_to(3)];
        let seed = self.byte();
        let weights =
            builder.constant(numbers(&[filters, channels / group, kernel[0], kernel[1]], seed, 0.6));
        let pads: Vec<i64> = (0..4).map(|_| i64::from(self.byte() % 2)).collect();
        let pair = |choice: &mut Self| vec![choice.up_to(2) as i64, choice.up_to(2) as i64];
        let (strides, dilations) = (pair(self), pair(self));
        let transposed = group == 1 && self.byte().is_multiple_of(4);
        if transposed {
            let weights = builder.constant(numbers(&[channels, filters, kernel[0], kernel[1]], seed, 0.6));
            return builder.op_with(
                "ConvTranspose",
                &[value, weights],
                [("strides", Attribute::Ints(strides))],
            );
        }
        let attributes = [
            ("group", Attribute::Int(group as i64)),
            ("pads", Attribute::Ints(pads)),
            ("strides", Attribute::Ints(strides)),
            ("dilations", Attribute::Ints(dilations)),
        ];
        builder.op_with("Conv", &[value, weights], attributes)
    }

    fn matmul(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let (width, out, seed) = (width(builder, value)?, self.up_to(6), self.byte());
        let weights = builder.constant(numbers(&[width, out], seed, 0.8));
        let bias = builder.constant(numbers(&[out], seed.wrapping_add(1), 0.5));
        match dims(builder, value)?.len() {
            1 if self.yes() => builder.op("Gemm", &[value, weights, bias]),
            _ => {
                let product = builder.op("MatMul", &[value, weights])?;
                builder.op("Add", &[product, bias])
            }
        }
    }

    fn pool(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        match self.up_to(4) {
            1 => builder.op("GlobalAveragePool", &[value]),
            2 => builder.op("GlobalMaxPool", &[value]),
            kind => {
                let kernel = vec![self.up_to(3) as i64, self.up_to(3) as i64];
                let pads = vec![
                    i64::from(kernel[0] > 1 && self.yes()),
                    0,
                    0,
                    i64::from(kernel[1] > 1 && self.yes()),
                ];
                let operator = if kind == 3 { "MaxPool" } else { "AveragePool" };
                let attributes = [("kernel_shape", Attribute::Ints(kernel)), ("pads", Attribute::Ints(pads))];
                builder.op_with(operator, &[value], attributes)
            }
        }
    }

    /// An axis of one image, from the front or from behind; where that is allowed, that of the batch.
    fn axis(&mut self, builder: &Builder<'_>, value: ValueId, wild: bool) -> Result<i64> {
        let rank = dims(builder, value)?.len();
        if rank == 0 {
            return Err(Error::shape("no axis"));
        }
        let axis = if wild && self.byte().is_multiple_of(16) { 0 } else { self.up_to(rank) as i64 };
        Ok(if self.yes() { axis - rank as i64 - 1 } else { axis })
    }

    fn reduction(&mut self, builder: &mut Builder<'_>, value: ValueId, wild: bool) -> Result<ValueId> {
        let axis = self.axis(builder, value, wild)?;
        let operator = self.of(&[
            "ReduceMean",
            "ReduceSum",
            "ReduceMax",
            "ReduceMin",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        ]);
        let axes = builder.ints(&[axis]);
        builder.op_with(operator, &[value, axes], [("keepdims", Attribute::Int(i64::from(self.yes())))])
    }

    fn normalisation(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let dims = dims(builder, value)?;
        let seed = self.byte();
        match self.up_to(4) {
            1 => {
                let axis = self.axis(builder, value, false)?;
                builder.op_with(
                    self.of(&["Softmax", "LogSoftmax"]),
                    &[value],
                    [("axis", Attribute::Int(axis))],
                )
            }
            2 => {
                let width = [width(builder, value)?];
                let (scale, shift) = (numbers(&width, seed, 1.5), numbers(&width, seed.wrapping_add(1), 0.5));
                let (scale, shift) = (builder.constant(scale), builder.constant(shift));
                let attributes = [("epsilon", Attribute::Float(1e-2)), ("axis", Attribute::Int(-1))];
                builder.op_with("LayerNormalization", &[value, scale, shift], attributes)
            }
            3 => {
                let channels = [dims.first().copied().ok_or_else(|| Error::shape("no channels"))?];
                let (scale, shift) =
                    (numbers(&channels, seed, 1.5), numbers(&channels, seed.wrapping_add(1), 0.5));
                let inputs = [value, builder.constant(scale), builder.constant(shift)];
                builder.op_with("InstanceNormalization", &inputs, [("epsilon", Attribute::Float(1e-2))])
            }
            _ => {
                let channels = [dims.first().copied().ok_or_else(|| Error::shape("no channels"))?];
                let parts = [(0, 1.5), (1, 0.5), (2, 0.5)];
                let parts = parts.map(|(more, scale)| numbers(&channels, seed.wrapping_add(more), scale));
                let variance: Vec<f32> = (0..channels[0]).map(|index| 0.5 + index as f32).collect();
                let mut inputs = vec![value];
                inputs.extend(parts.map(|part| builder.constant(part)));
                inputs.push(builder.constant(Tensor::from_f32(&channels, &variance)));
                builder.op("BatchNormalization", &inputs)
            }
        }
    }

    fn transposition(&mut self, builder: &mut Builder<'_>, value: ValueId, wild: bool) -> Result<ValueId> {
        let rank = dims(builder, value)?.len() + 1;
        let mut permutation: Vec<i64> = (0..rank as i64).collect();
        let first = usize::from(!(wild && self.byte().is_multiple_of(16)));
        for place in first..rank {
            let other = place + usize::from(self.byte()) % (rank - place);
            permutation.swap(place, other);
        }
        builder.op_with("Transpose", &[value], [("perm", Attribute::Ints(permutation))])
    }

    fn reshaping(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let dims = dims(builder, value)?;
        match self.up_to(5) {
            1 => builder.op_with("Flatten", &[value], [("axis", Attribute::Int(1))]),
            2 => {
                let axis = builder.ints(&[self.up_to(dims.len() + 1) as i64]);
                builder.op("Unsqueeze", &[value, axis])
            }
            3 => {
                let ones =
                    dims.iter().enumerate().filter(|(_, dim)| **dim == 1).map(|(axis, _)| axis as i64 + 1);
                let axes = builder.ints(&ones.collect::<Vec<_>>());
                builder.op("Squeeze", &[value, axes])
            }
            4 => {
                let total: usize = dims.iter().product();
                let divisors: Vec<usize> = (1..=total).filter(|part| total.is_multiple_of(*part)).collect();
                let part = self.of(&divisors);
                let target = builder.ints(&[0, part as i64, (total / part) as i64]);
                builder.op("Reshape", &[value, target])
            }
            _ => {
                let mut repeats = vec![1; dims.len() + 1];
                if let Some(last) = repeats.get_mut(1 + usize::from(self.byte()) % dims.len().max(1)) {
                    *last = self.up_to(3) as i64;
                }
                let repeats = builder.ints(&repeats);
                builder.op("Tile", &[value, repeats])
            }
        }
    }

    fn selection(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let axis = self.up_to(dims(builder, value)?.len().max(1));
        let size = dims(builder, value)?.get(axis - 1).copied().ok_or_else(|| Error::shape("no axis"))?;
        match self.up_to(3) {
            1 => {
                let picked: Vec<i64> =
                    (0..self.up_to(4)).map(|_| i64::from(self.byte()) % size as i64).collect();
                let picked = builder.ints(&picked);
                builder.op_with("Gather", &[value, picked], [("axis", Attribute::Int(axis as i64))])
            }
            2 => {
                let (start, step) = (i64::from(self.byte()) % size as i64, self.up_to(2) as i64);
                let (start, end, step) = match self.yes() {
                    true => (start, size as i64, step),
                    false => (-1, -(size as i64) - 1, -step),
                };
                let inputs = [start, end, axis as i64, step].map(|number| builder.ints(&[number]));
                builder.op("Slice", &[value, inputs[0], inputs[1], inputs[2], inputs[3]])
            }
            _ => {
                let first = self.up_to(size) as i64;
                let parts = builder.ints(&[first, size as i64 - first]);
                let attributes =
                    mimir_export::graph::Attributes::from_pairs([("axis", Attribute::Int(axis as i64))]);
                let outputs = builder.node("Split", vec![Some(value), Some(parts)], attributes, 2)?;
                Ok(outputs[0])
            }
        }
    }

    fn padding(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let rank = dims(builder, value)?.len() + 1;
        let mut pads = vec![0_i64; 2 * rank];
        for place in (1..rank).chain(rank + 1..2 * rank) {
            pads[place] = i64::from(self.byte() % 3) - 1;
        }
        let pads = builder.ints(&pads);
        let mode = self.of(&["constant", "reflect", "edge", "wrap"]);
        builder.op_with("Pad", &[value, pads], [("mode", Attribute::Text(mode.into()))])
    }

    fn concatenation(
        &mut self,
        builder: &mut Builder<'_>,
        value: ValueId,
        pool: &[ValueId],
    ) -> Result<ValueId> {
        let axis = self.axis(builder, value, false)?;
        let other = if self.yes() { value } else { self.of(pool) };
        builder.op_with("Concat", &[value, other], [("axis", Attribute::Int(axis))])
    }

    /// By something that is at least 1/2.
    fn division(&mut self, builder: &mut Builder<'_>, value: ValueId, pool: &[ValueId]) -> Result<ValueId> {
        let other = self.of(pool);
        let positive = builder.op("Softplus", &[other])?;
        let half = builder.scalar(0.5);
        let divisor = builder.op("Add", &[positive, half])?;
        match self.up_to(4) {
            1 => builder.op("Log", &[divisor]),
            2 => builder.op("Sqrt", &[divisor]),
            3 => {
                let exponent = builder.scalar(self.of(&[0.5, 2.0, 3.0, -1.0, 1.5]));
                builder.op("Pow", &[divisor, exponent])
            }
            _ => builder.op("Div", &[value, divisor]),
        }
    }

    fn condition(&mut self, builder: &mut Builder<'_>, value: ValueId, pool: &[ValueId]) -> Result<ValueId> {
        let other = self.of(pool);
        let border = builder.scalar(0.3);
        let is_greater = builder.op(self.of(&["Greater", "Less"]), &[other, border])?;
        let twice = builder.op("Tanh", &[value])?;
        builder.op("Where", &[is_greater, value, twice])
    }

    /// softmax(v vᵀ) v over the last two axes.
    fn attention(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let rank = dims(builder, value)?.len() as i64 + 1;
        let mut permutation: Vec<i64> = (0..rank).collect();
        permutation.swap(rank as usize - 1, rank as usize - 2);
        let keys = builder.op_with("Transpose", &[value], [("perm", Attribute::Ints(permutation))])?;
        let scores = builder.op("MatMul", &[value, keys])?;
        let scale = builder.scalar(0.7);
        let scores = builder.op("Mul", &[scores, scale])?;
        let weights = builder.op_with("Softmax", &[scores], [("axis", Attribute::Int(-1))])?;
        builder.op("MatMul", &[weights, value])
    }

    fn clip(&mut self, builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
        let (low, high) = (builder.scalar(-0.8), builder.scalar(0.9));
        builder.op("Clip", &[value, low, high])
    }
}
