//! One step of an LSTM, a GRU or an RNN.
//!
//! The gates stand one behind the other, each `H` wide: `i o f c` of an LSTM, `z r h` of a GRU, one of an RNN.

use crate::error::{Error, Result};
use crate::graph::{Attributes, Builder, Node, ValueId};
use crate::tensor::Tensor;

/// Which operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lstm,
    /// With `linear_before_reset`: the reset gate is multiplied after the product.
    Gru {
        resets_after: bool,
    },
    Rnn,
}

/// The states before or after a step, each `[N, H]`; `None` for zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) hidden: Option<ValueId>,
    /// Of an LSTM.
    pub(super) cell: Option<ValueId>,
}

/// A function of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    /// An operator of one input.
    Plain(&'static str),
    /// One with `alpha`.
    WithAlpha(&'static str, f32),
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
}

impl Kind {
    pub(super) fn of(node: &Node) -> Result<Self> {
        match node.op_type.as_str() {
            "LSTM" => Ok(Self::Lstm),
            "GRU" => {
                let resets_after = node.attributes.int("linear_before_reset", 0)? != 0;
                Ok(Self::Gru { resets_after })
            }
            _ => Ok(Self::Rnn),
        }
    }

    /// Number of gates.
    pub(super) fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru { .. } => 3,
            Self::Rnn => 1,
        }
    }

    fn default_activations(self) -> &'static [&'static str] {
        match self {
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
            Self::Rnn => &["Tanh"],
        }
    }
}

/// The functions of each direction, as listed or the usual ones.
///
/// # Errors
/// For functions that no exporter writes, and lists of another length.
pub(super) fn activations(
    attributes: &Attributes,
    kind: Kind,
    directions: usize,
) -> Result<Vec<Vec<Activation>>> {
    let usual = kind.default_activations();
    let names: Vec<String> = match attributes.texts("activations")? {
        Some(names) => names.to_vec(),
        None => usual.repeat(directions).into_iter().map(str::to_owned).collect(),
    };
    if names.len() != directions * usual.len() {
        return Err(Error::format(format!(
            "lists {} activations, wanted {} for each of {directions} directions",
            names.len(),
            usual.len()
        )));
    }
    // Each function takes as many of the values as it has parameters.
    let mut alphas = attributes.floats("activation_alpha")?.unwrap_or_default().iter().copied();
    let mut betas = attributes.floats("activation_beta")?.unwrap_or_default().iter().copied();
    let functions = names.iter().map(|name| match name.to_ascii_lowercase().as_str() {
        "sigmoid" => Ok(Activation::Plain("Sigmoid")),
        "tanh" => Ok(Activation::Plain("Tanh")),
        "relu" => Ok(Activation::Plain("Relu")),
        "softsign" => Ok(Activation::Plain("Softsign")),
        "softplus" => Ok(Activation::Plain("Softplus")),
        "leakyrelu" => Ok(Activation::WithAlpha("LeakyRelu", alphas.next().unwrap_or(0.01))),
        "elu" => Ok(Activation::WithAlpha("Elu", alphas.next().unwrap_or(1.0))),
        "hardsigmoid" => Ok(Activation::HardSigmoid {
            alpha: alphas.next().unwrap_or(0.2),
            beta: betas.next().unwrap_or(0.5),
        }),
        _ => Err(Error::unsupported(format!(
            "activation `{name}` is not supported: use Sigmoid, Tanh, Relu, Softsign, Softplus, LeakyRelu, Elu or \
             HardSigmoid"
        ))),
    });
    let functions = functions.collect::<Result<Vec<_>>>()?;
    Ok(functions.chunks(usual.len()).map(<[Activation]>::to_vec).collect())
}

impl Activation {
    fn apply(self, builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
        match self {
            Self::Plain(op_type) => builder.op(op_type, &[x]),
            Self::WithAlpha(op_type, alpha) => builder.op_with(op_type, &[x], [("alpha", alpha.into())]),
            Self::HardSigmoid { alpha, beta } => {
                builder.op_with("HardSigmoid", &[x], [("alpha", alpha.into()), ("beta", beta.into())])
            }
        }
    }
}

/// The weights of one direction.
pub(super) struct Cell<'f> {
    kind: Kind,
    functions: &'f [Activation],
    hidden: usize,
    /// `[I, G·H]`
    input_weights: ValueId,
    /// `[H, G·H]`; of a GRU that resets before the product, `[H, 2H]` and `[H, H]`.
    state_weights: Vec<ValueId>,
    /// `[G·H]`, what is added to the products with the inputs.
    bias: Option<ValueId>,
    /// `[H]`, the bias of the last product of a GRU that resets after it.
    reset_bias: Option<ValueId>,
    /// `[H]` each, of an LSTM: `i o f`.
    peepholes: Vec<ValueId>,
}

impl<'f> Cell<'f> {
    /// The weights of direction `index` of a node with states of `hidden` elements.
    pub(super) fn new(
        builder: &mut Builder<'_>,
        node: &Node,
        kind: Kind,
        [index, hidden]: [usize; 2],
        functions: &'f [Activation],
    ) -> Result<Self> {
        let transposed = |builder: &mut Builder<'_>, input: usize| {
            let weights = pick(builder, node.input(input)?, index)?;
            builder.op("Transpose", &[weights])
        };
        let input_weights = transposed(builder, 1)?;
        let state_weights = transposed(builder, 2)?;
        let state_weights = match kind {
            Kind::Gru { resets_after: false } => split(builder, state_weights, 1, &[2 * hidden, hidden])?,
            Kind::Gru { .. } | Kind::Lstm | Kind::Rnn => vec![state_weights],
        };
        let (bias, reset_bias) = biases(builder, node, kind, index, hidden)?;
        let peepholes = match node.optional_input(7).filter(|_| kind == Kind::Lstm) {
            Some(peepholes) => {
                let peepholes = pick(builder, peepholes, index)?;
                split(builder, peepholes, 0, &[hidden; 3])?
            }
            None => Vec::new(),
        };
        Ok(Self { kind, functions, hidden, input_weights, state_weights, bias, reset_bias, peepholes })
    }

    /// The products with the inputs of all steps, `[T, N, G·H]`.
    pub(super) fn project(&self, builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
        let product = builder.op("MatMul", &[x, self.input_weights])?;
        match self.bias {
            Some(bias) => builder.op("Add", &[product, bias]),
            None => Ok(product),
        }
    }

    /// The states after a step, whose products with the inputs are `x`, `[N, G·H]`.
    pub(super) fn step(&self, builder: &mut Builder<'_>, x: ValueId, before: State) -> Result<State> {
        match self.kind {
            Kind::Lstm => self.lstm(builder, x, before),
            Kind::Gru { resets_after } => {
                let hidden = self.gru(builder, x, before.hidden, resets_after)?;
                Ok(State { hidden: Some(hidden), cell: None })
            }
            Kind::Rnn => {
                let sum = self.with_state(builder, x, before.hidden, 0)?;
                let hidden = self.functions[0].apply(builder, sum)?;
                Ok(State { hidden: Some(hidden), cell: None })
            }
        }
    }

    /// `x + h·R`, with part `part` of the weights.
    fn with_state(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        hidden: Option<ValueId>,
        part: usize,
    ) -> Result<ValueId> {
        let Some(hidden) = hidden else { return Ok(x) };
        let product = builder.op("MatMul", &[hidden, self.state_weights[part]])?;
        builder.op("Add", &[x, product])
    }

    /// `C = f(f)·C + f(i)·g(c)` and `H = f(o)·h(C)`; peepholes add `P·C` to the gates.
    fn lstm(&self, builder: &mut Builder<'_>, x: ValueId, before: State) -> Result<State> {
        let gates = self.with_state(builder, x, before.hidden, 0)?;
        let parts = split(builder, gates, 1, &[self.hidden; 4])?;
        let [input, output, forget, candidate] = parts[..] else { return Err(missing_gates()) };
        let [gate_function, candidate_function, state_function] = self.functions[..] else {
            return Err(missing_gates());
        };
        let peep = |builder: &mut Builder<'_>, gate: ValueId, which: usize, cell: Option<ValueId>| {
            let (Some(weights), Some(cell)) = (self.peepholes.get(which), cell) else { return Ok(gate) };
            let seen = builder.op("Mul", &[cell, *weights])?;
            builder.op("Add", &[gate, seen])
        };
        let input = peep(builder, input, 0, before.cell)?;
        let input = gate_function.apply(builder, input)?;
        let candidate = candidate_function.apply(builder, candidate)?;
        let mut cell = builder.op("Mul", &[input, candidate])?;
        if let Some(old) = before.cell {
            let forget = peep(builder, forget, 2, Some(old))?;
            let forget = gate_function.apply(builder, forget)?;
            let kept = builder.op("Mul", &[forget, old])?;
            cell = builder.op("Add", &[kept, cell])?;
        }
        let output = peep(builder, output, 1, Some(cell))?;
        let output = gate_function.apply(builder, output)?;
        let shown = state_function.apply(builder, cell)?;
        let hidden = builder.op("Mul", &[output, shown])?;
        Ok(State { hidden: Some(hidden), cell: Some(cell) })
    }

    /// `H = (1 − z)·h + z·H = h + z·(H − h)`.
    fn gru(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        before: Option<ValueId>,
        resets_after: bool,
    ) -> Result<ValueId> {
        let (width, [gate_function, candidate_function]) =
            (self.hidden, [self.functions[0], self.functions[1]]);
        let parts = split(builder, x, 1, &[2 * width, width])?;
        let [gates, mut candidate] = parts[..] else { return Err(missing_gates()) };
        let (gates, seen) = match (before, resets_after) {
            (None, _) => (gates, None),
            (Some(_), false) => (self.with_state(builder, gates, before, 0)?, None),
            (Some(before), true) => {
                let product = builder.op("MatMul", &[before, self.state_weights[0]])?;
                let parts = split(builder, product, 1, &[2 * width, width])?;
                (builder.op("Add", &[gates, parts[0]])?, Some(parts[1]))
            }
        };
        let gates = gate_function.apply(builder, gates)?;
        let parts = split(builder, gates, 1, &[width; 2])?;
        let [update, reset] = parts[..] else { return Err(missing_gates()) };
        if resets_after {
            // Of a state of zero only the bias is left.
            let seen = match (seen, self.reset_bias) {
                (Some(seen), Some(bias)) => Some(builder.op("Add", &[seen, bias])?),
                (seen, bias) => seen.or(bias),
            };
            if let Some(seen) = seen {
                let kept = builder.op("Mul", &[reset, seen])?;
                candidate = builder.op("Add", &[candidate, kept])?;
            }
        } else if let Some(before) = before {
            let kept = builder.op("Mul", &[reset, before])?;
            candidate = self.with_state(builder, candidate, Some(kept), 1)?;
        }
        let candidate = candidate_function.apply(builder, candidate)?;
        match before {
            Some(before) => {
                let difference = builder.op("Sub", &[before, candidate])?;
                let moved = builder.op("Mul", &[update, difference])?;
                builder.op("Add", &[candidate, moved])
            }
            None => {
                let kept = builder.op("Mul", &[update, candidate])?;
                builder.op("Sub", &[candidate, kept])
            }
        }
    }
}

fn missing_gates() -> Error {
    Error::format("its gates or activations are not those of the operator")
}

/// What is added to the products with the inputs, and to the last product of a GRU that resets after it.
fn biases(
    builder: &mut Builder<'_>,
    node: &Node,
    kind: Kind,
    index: usize,
    hidden: usize,
) -> Result<(Option<ValueId>, Option<ValueId>)> {
    let Some(biases) = node.optional_input(3) else { return Ok((None, None)) };
    let (biases, width) = (pick(builder, biases, index)?, kind.gates() * hidden);
    let parts = split(builder, biases, 0, &[width; 2])?;
    let [of_inputs, of_states] = parts[..] else { return Err(missing_gates()) };
    if kind != (Kind::Gru { resets_after: true }) {
        return Ok((Some(builder.op("Add", &[of_inputs, of_states])?), None));
    }
    let (inputs, states) = (
        split(builder, of_inputs, 0, &[2 * hidden, hidden])?,
        split(builder, of_states, 0, &[2 * hidden, hidden])?,
    );
    let gates = builder.op("Add", &[inputs[0], states[0]])?;
    let bias = builder.op_with("Concat", &[gates, inputs[1]], [("axis", 0.into())])?;
    Ok((Some(bias), Some(states[1])))
}

fn split(builder: &mut Builder<'_>, value: ValueId, axis: i64, sizes: &[usize]) -> Result<Vec<ValueId>> {
    let lengths: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
    let lengths = builder.ints(&lengths);
    let attributes = Attributes::from_pairs([("axis", axis.into())]);
    builder.node("Split", vec![Some(value), Some(lengths)], attributes, sizes.len())
}

/// Row `index` of the first axis, which is then gone.
pub(super) fn pick(builder: &mut Builder<'_>, value: ValueId, index: usize) -> Result<ValueId> {
    let index = builder.constant(Tensor::from_i64(&[], &[index as i64]));
    builder.op_with("Gather", &[value, index], [("axis", 0.into())])
}
