//! LSTM, GRU and RNN, written out step by step: the length of the sequence is a number in a classifier of images.
//!
//! The products with the inputs are taken for all steps at once. A step then is one product with the state before it and
//! a few functions of its elements, so that differentiation needs no rule of its own. Without initial states the first
//! step leaves its products out. Operator pages: ONNX `LSTM-22`, `GRU-22`, `RNN-22`, whose formulas these are.

use super::recurrent_cells::{Activation, Cell, Kind, State, activations, pick};
use super::recurrent_lengths::check_lengths;
use crate::error::{Error, ErrorKind, Result};
use crate::facts::fixed;
use crate::graph::{Attributes, Builder, Dim, Graph, Node, Shape, ValueId};

/// Most nodes that one operator may become, roughly.
const LARGEST: usize = 100_000;

/// Nodes of one step, at most.
const STEP: usize = 24;

/// An operator, and the values that all of its directions read.
struct Recurrent<'n> {
    node: &'n Node,
    kind: Kind,
    hidden: usize,
    steps: usize,
    /// `[T, N, I]`
    x: ValueId,
    directions: Vec<Direction>,
    /// Whether the batch comes first (`layout = 1`).
    batch_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Reverse,
}

/// What one direction returns: the hidden state of each step in the order of time, and the last states.
struct Track {
    hidden: Vec<ValueId>,
    last: State,
}

/// The nodes of the working opset for one LSTM, GRU or RNN.
pub(super) fn unroll(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let mut builder = Builder::new(graph, node.name.clone());
    let recurrent = Recurrent::new(&mut builder, &node)?;
    let functions = activations(&node.attributes, recurrent.kind, recurrent.directions.len())?;
    let mut tracks = Vec::with_capacity(recurrent.directions.len());
    for (index, functions) in functions.iter().enumerate() {
        tracks.push(recurrent.run(&mut builder, index, functions)?);
    }
    builder.set_prefix(node.name.clone());
    let outputs = [
        recurrent.all_states(&mut builder, &tracks)?,
        recurrent.last_states(&mut builder, 1, &tracks)?,
        recurrent.last_states(&mut builder, 2, &tracks)?,
    ];
    Ok(copies(node, outputs))
}

/// Identities from the values to the outputs of the node.
fn copies(node: Node, values: [Option<ValueId>; 3]) -> Vec<Node> {
    let Node { name, outputs, .. } = node;
    let pairs = values.into_iter().zip(outputs).enumerate();
    let copy = |(index, (value, output)): (usize, (Option<ValueId>, Option<ValueId>))| {
        value.zip(output).map(|(value, output)| Node {
            name: format!("{name}/output_{index}"),
            op_type: "Identity".to_owned(),
            inputs: vec![Some(value)],
            outputs: vec![Some(output)],
            attributes: Attributes::default(),
        })
    };
    pairs.filter_map(copy).collect()
}

impl<'n> Recurrent<'n> {
    fn new(builder: &mut Builder<'_>, node: &'n Node) -> Result<Self> {
        let kind = Kind::of(node)?;
        refuse_rare(node)?;
        let batch_first = node.attributes.int("layout", 0)? != 0;
        let x = node.input(0)?;
        let x = if batch_first { swapped(builder, x)? } else { x };
        let shape = builder.graph().shape(x)?.clone();
        let [steps, batch, _] = shape.0[..] else {
            return Err(Error::shape(format!("its input is {shape}, wanted steps, batch and features")));
        };
        let steps = fixed(steps, "the length of the sequence")?;
        let directions = directions(node)?;
        // Before anything is listed: a file may state any length.
        if steps.saturating_mul(directions.len()).saturating_mul(STEP) > LARGEST {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{steps} steps are more than can be written out ({LARGEST} nodes): use shorter sequences"
                ),
            ));
        }
        if let Some(lengths) = node.optional_input(4) {
            check_lengths(builder.graph(), lengths, steps)?;
        }
        let hidden = hidden_size(builder.graph(), node, kind)?;
        let recurrent = Self { node, kind, hidden, steps, x, directions, batch_first };
        recurrent.check_shapes(builder.graph(), batch)?;
        Ok(recurrent)
    }

    /// Refuses weights that do not have the shapes of the operator, before anything is built of them.
    fn check_shapes(&self, graph: &Graph, batch: Dim) -> Result<()> {
        let (directions, gates, hidden) =
            (self.directions.len(), self.kind.gates() * self.hidden, self.hidden);
        let features = fixed(graph.shape(self.x)?.0[2], "the number of features")?;
        let fixed_shape = |dims: &[usize]| dims.iter().copied().map(Dim::Fixed).collect::<Vec<_>>();
        let state = match self.batch_first {
            false => vec![Dim::Fixed(directions), batch, Dim::Fixed(hidden)],
            true => vec![batch, Dim::Fixed(directions), Dim::Fixed(hidden)],
        };
        let wanted = [
            (1, fixed_shape(&[directions, gates, features])),
            (2, fixed_shape(&[directions, gates, hidden])),
            (3, fixed_shape(&[directions, 2 * gates])),
            (5, state.clone()),
            (6, state),
            (7, fixed_shape(&[directions, 3 * hidden])),
        ];
        for (index, wanted) in wanted {
            let Some(id) = self.node.optional_input(index) else { continue };
            let found = graph.shape(id)?;
            if found.0 != wanted {
                let wanted = Shape(wanted);
                return Err(Error::shape(format!("its input {index} is {found}, wanted {wanted}")));
            }
        }
        Ok(())
    }

    /// The steps of one direction.
    fn run(&self, builder: &mut Builder<'_>, index: usize, functions: &[Activation]) -> Result<Track> {
        let name = &self.node.name;
        builder.set_prefix(format!("{name}/direction_{index}"));
        let mut state = State { hidden: None, cell: None };
        for (input, part) in [(5, &mut state.hidden), (6, &mut state.cell)] {
            if let Some(initial) = self.node.optional_input(input) {
                let initial = if self.batch_first { swapped(builder, initial)? } else { initial };
                *part = Some(pick(builder, initial, index)?);
            }
        }
        let cell = Cell::new(builder, self.node, self.kind, [index, self.hidden], functions)?;
        let projected = cell.project(builder, self.x)?; // [T, N, G·H]
        let mut hidden = vec![None; self.steps];
        for count in 0..self.steps {
            let time = match self.directions[index] {
                Direction::Forward => count,
                Direction::Reverse => self.steps - 1 - count,
            };
            builder.set_prefix(format!("{name}/direction_{index}/step_{time}"));
            let x = pick(builder, projected, time)?;
            state = cell.step(builder, x, state)?;
            hidden[time] = state.hidden;
        }
        Ok(Track { hidden: hidden.into_iter().flatten().collect(), last: state })
    }

    /// `Y`, `[T, D, N, H]`, where it is asked for.
    fn all_states(&self, builder: &mut Builder<'_>, tracks: &[Track]) -> Result<Option<ValueId>> {
        if self.node.optional_output(0).is_none() {
            return Ok(None);
        }
        let mut directions = Vec::with_capacity(tracks.len());
        for track in tracks {
            let rows = track.hidden.iter().map(|state| {
                let axes = builder.ints(&[0, 1]);
                builder.op("Unsqueeze", &[*state, axes])
            });
            let rows = rows.collect::<Result<Vec<_>>>()?;
            directions.push(builder.op_with("Concat", &rows, [("axis", 0.into())])?); // [T, 1, N, H]
        }
        let all = builder.op_with("Concat", &directions, [("axis", 1.into())])?;
        if !self.batch_first {
            return Ok(Some(all));
        }
        builder.op_with("Transpose", &[all], [("perm", vec![2, 0, 1, 3].into())]).map(Some)
    }

    /// `Y_h` or `Y_c`, `[D, N, H]`, where output `index` is asked for.
    fn last_states(
        &self,
        builder: &mut Builder<'_>,
        index: usize,
        tracks: &[Track],
    ) -> Result<Option<ValueId>> {
        if self.node.optional_output(index).is_none() {
            return Ok(None);
        }
        let mut rows = Vec::with_capacity(tracks.len());
        for track in tracks {
            let state = if index == 1 { track.last.hidden } else { track.last.cell };
            let state = state.ok_or_else(|| Error::format(format!("has no output {index}, or no steps")))?;
            let axes = builder.ints(&[0]);
            rows.push(builder.op("Unsqueeze", &[state, axes])?);
        }
        let last = builder.op_with("Concat", &rows, [("axis", 0.into())])?;
        if self.batch_first { swapped(builder, last).map(Some) } else { Ok(Some(last)) }
    }
}

/// Refuses what no exporter of today writes.
fn refuse_rare(node: &Node) -> Result<()> {
    if node.attributes.get("clip").is_some() {
        return Err(Error::unsupported("clips its gates (attribute `clip`): export the model without it"));
    }
    if node.attributes.int("input_forget", 0)? != 0 {
        return Err(Error::unsupported(
            "couples its input and forget gates (attribute `input_forget`): export the model without it",
        ));
    }
    Ok(())
}

fn directions(node: &Node) -> Result<Vec<Direction>> {
    match node.attributes.text("direction", "forward")? {
        "forward" => Ok(vec![Direction::Forward]),
        "reverse" => Ok(vec![Direction::Reverse]),
        "bidirectional" => Ok(vec![Direction::Forward, Direction::Reverse]),
        other => {
            let message = format!("direction `{other}`, wanted forward, reverse or bidirectional");
            Err(Error::format(message))
        }
    }
}

/// The attribute, or what the recurrent weights show.
fn hidden_size(graph: &Graph, node: &Node, kind: Kind) -> Result<usize> {
    let weights = graph.shape(node.input(2)?)?;
    let found = weights.0.last().and_then(|dim| dim.fixed()).unwrap_or_default();
    let stated = node.attributes.int("hidden_size", found as i64)?;
    if usize::try_from(stated) != Ok(found) || found == 0 {
        return Err(Error::shape(format!(
            "hidden_size {stated}, but its recurrent weights are {weights}, for {} gates",
            kind.gates()
        )));
    }
    Ok(found)
}

/// `[a, b, …]` as `[b, a, …]` of three axes.
fn swapped(builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
    builder.op_with("Transpose", &[value], [("perm", vec![1, 0, 2].into())])
}
