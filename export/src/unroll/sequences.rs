//! Sequences of tensors, where their length and every position is constant: the operators become plain ones.
//!
//! PyTorch's exporter writes `unbind`, `split` and `chunk` as SplitToSequence and SequenceAt, and lists that grow in a
//! loop as SequenceInsert and ConcatFromSequence. A list of that kind is known when shapes are: it is kept here, by the
//! value that has its name, and no node of it is left. Operator pages: ONNX `SplitToSequence-11` and its neighbours.

use std::collections::HashMap;

use super::budget::Budget;
use super::values::constant_int;
use crate::error::{Error, Result};
use crate::facts::{Content, Known};
use crate::graph::{Attribute, Attributes, Graph, Node, ValueId};
use crate::tensor::Tensor;

/// The first opset whose Split, Squeeze and Unsqueeze take sizes and axes as an input.
const SIZES_AS_INPUT: u32 = 13;

/// The sequences so far, by the value of their name.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    lists: HashMap<ValueId, Vec<ValueId>>,
}

/// What a node of sequences is expanded in.
pub(super) struct Surroundings<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) known: &'a Known,
    pub(super) budget: &'a mut Budget,
    /// The opset of the file.
    pub(super) opset: u32,
}

impl Sequences {
    /// The nodes that a node of sequences becomes, in the operators of the file's opset; `None` for other nodes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a length or a position that depends on the images
    /// or on the batch, and for other operators of sequences and optional values;
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) for a position outside the sequence.
    pub(super) fn expand(&mut self, around: Surroundings<'_>, node: &Node) -> Result<Option<Vec<Node>>> {
        let nodes = match node.op_type.as_str() {
            "SequenceEmpty" => self.define(node, Vec::new())?,
            "SequenceConstruct" => self.define(node, node.inputs.iter().flatten().copied().collect())?,
            "SequenceInsert" => self.insert(&around, node)?,
            "SequenceErase" => self.erase(&around, node)?,
            "SequenceAt" => self.at(&around, node)?,
            "SequenceLength" => self.length(around, node)?,
            "SplitToSequence" => self.split(around, node)?,
            "ConcatFromSequence" => self.concat(around, node)?,
            "Identity" => match node.optional_input(0).and_then(|id| self.lists.get(&id)) {
                Some(list) => self.define(node, list.clone())?,
                None => return Ok(None),
            },
            other => {
                refuse(other)?;
                return Ok(None);
            }
        };
        Ok(Some(nodes))
    }

    /// Records what the output of a node holds.
    fn define(&mut self, node: &Node, list: Vec<ValueId>) -> Result<Vec<Node>> {
        self.lists.insert(node.output(0)?, list);
        Ok(Vec::new())
    }

    fn list(&self, node: &Node) -> Result<&[ValueId]> {
        let id = node.input(0)?;
        let list = self.lists.get(&id).map(Vec::as_slice);
        list.ok_or_else(|| Error::unsupported("its sequence is not made by an operator of sequences"))
    }

    fn insert(&mut self, around: &Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let mut list = self.list(node)?.to_vec();
        let position = match node.optional_input(2) {
            Some(id) => position(around, id, list.len(), list.len() + 1)?,
            None => list.len(),
        };
        list.insert(position, node.input(1)?);
        self.define(node, list)
    }

    fn erase(&mut self, around: &Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let mut list = self.list(node)?.to_vec();
        let position = match node.optional_input(1) {
            Some(id) => position(around, id, list.len(), list.len())?,
            None => list.len().checked_sub(1).ok_or_else(|| outside(0, 0))?,
        };
        list.remove(position);
        self.define(node, list)
    }

    fn at(&self, around: &Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let list = self.list(node)?;
        let element = list[position(around, node.input(1)?, list.len(), list.len())?];
        Ok(vec![new_node(&node.name, "Identity", [Some(element)], vec![node.output(0)?])])
    }

    fn length(&self, around: Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let length = self.list(node)?.len() as i64;
        let Surroundings { graph, .. } = around;
        graph.set_constant(node.output(0)?, Tensor::from_i64(&[], &[length]));
        Ok(Vec::new())
    }

    /// Split, and Squeeze where the parts lose the axis.
    fn split(&mut self, around: Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let x = node.input(0)?;
        let shape = around.graph.shape(x)?;
        let axis = shape.axis(node.attributes.int("axis", 0)?)?;
        let size = shape.0[axis].fixed().ok_or_else(|| {
            Error::unsupported(format!(
                "it splits axis {axis} of {shape}, which is the batch, so that the number of its tensors is not \
                 constant: export the model without it"
            ))
        })?;
        let sizes = part_sizes(&around, node.optional_input(1), size)?;
        let squeezed = node.optional_input(1).is_none() && node.attributes.int("keepdims", 1)? == 0;
        around.budget.spend_nodes(2 * sizes.len())?;
        let Surroundings { graph, opset, .. } = around;
        let name = &node.name;
        let parts = fresh_values(graph, &format!("{name}/part"), sizes.len());
        let [split_sizes, axes] = [&sizes[..], &[axis as i64]];
        let mut split = with_ints(graph, opset, (name, "Split"), x, split_sizes, parts.clone());
        split.attributes.0.insert("axis".to_owned(), Attribute::Int(axis as i64));
        let mut nodes = vec![split];
        if !squeezed {
            self.define(node, parts)?;
            return Ok(nodes);
        }
        let rows = fresh_values(graph, &format!("{name}/row"), parts.len());
        for (part, row) in parts.iter().zip(&rows) {
            nodes.push(with_ints(graph, opset, (name, "Squeeze"), *part, axes, vec![*row]));
        }
        self.define(node, rows)?;
        Ok(nodes)
    }

    /// Concat, of tensors that got a new axis before where the node says so.
    fn concat(&self, around: Surroundings<'_>, node: &Node) -> Result<Vec<Node>> {
        let (list, name) = (self.list(node)?.to_vec(), &node.name);
        if list.is_empty() {
            return Err(Error::unsupported("it joins a sequence without tensors"));
        }
        let axis = node.attributes.int("axis", 0)?;
        let Surroundings { graph, opset, budget, .. } = around;
        budget.spend_nodes(list.len() + 1)?;
        let mut nodes = Vec::new();
        let mut joined = list.clone();
        if node.attributes.int("new_axis", 0)? != 0 {
            joined = fresh_values(graph, &format!("{name}/row"), list.len());
            for (value, row) in list.iter().zip(&joined) {
                nodes.push(with_ints(graph, opset, (name, "Unsqueeze"), *value, &[axis], vec![*row]));
            }
        }
        let mut concat = new_node(name, "Concat", joined.iter().copied().map(Some), vec![node.output(0)?]);
        concat.attributes.0.insert("axis".to_owned(), Attribute::Int(axis));
        nodes.push(concat);
        Ok(nodes)
    }
}

/// Refuses the operators of sequences and optional values that are left.
fn refuse(op_type: &str) -> Result<()> {
    let (what, instead) = match op_type {
        "ReverseSequence" => return Ok(()),
        other if other.contains("Sequence") => {
            ("this operator of sequences is", "tensors instead of lists, or with a plain loop over them")
        }
        other if other.starts_with("Optional") => ("optional values are", "every value present"),
        _ => return Ok(()),
    };
    Err(Error::unsupported(format!("{what} not supported: export the model with {instead}")))
}

/// A constant position in a sequence of `length` tensors, counted from its begin and below `bound`.
fn position(around: &Surroundings<'_>, id: ValueId, length: usize, bound: usize) -> Result<usize> {
    let found = constant_int(around.graph, around.known, id).ok_or_else(|| {
        Error::unsupported(
            "its position in the sequence is known only at run time: export the model with constant positions",
        )
    })?;
    let counted = if found < 0 { found.saturating_add(length as i64) } else { found };
    usize::try_from(counted).ok().filter(|counted| *counted < bound).ok_or_else(|| outside(found, length))
}

fn outside(position: i64, length: usize) -> Error {
    Error::format(format!("position {position} of a sequence of {length} tensors"))
}

/// Lengths of the parts of an axis of `size` elements: as listed, in pieces of one number, or one each.
fn part_sizes(around: &Surroundings<'_>, stated: Option<ValueId>, size: usize) -> Result<Vec<i64>> {
    let Some(id) = stated else { return Ok(vec![1; checked_count(size)?]) };
    let content = around.known.content(around.graph, id);
    let numbers: Option<Vec<i64>> = content
        .as_deref()
        .and_then(Content::symbols)
        .and_then(|all| all.iter().map(|one| one.int()).collect());
    let numbers = numbers.ok_or_else(|| {
        Error::unsupported("its sizes are known only at run time: export the model with constant sizes")
    })?;
    if around.graph.shape(id)?.rank() == 1 {
        return Ok(numbers);
    }
    let piece = numbers.first().and_then(|piece| usize::try_from(*piece).ok()).filter(|piece| *piece > 0);
    let piece = piece.ok_or_else(|| Error::format("it splits into parts of no elements"))?;
    let count = checked_count(size.div_ceil(piece))?;
    Ok((0..count).map(|part| (size - part * piece).min(piece) as i64).collect())
}

/// Refuses numbers of parts that no classifier has before they are listed.
fn checked_count(count: usize) -> Result<usize> {
    const MOST: usize = 1 << 16;
    if count <= MOST { Ok(count) } else { Err(Error::unsupported(format!("it splits into {count} tensors"))) }
}

fn fresh_values(graph: &mut Graph, base: &str, count: usize) -> Vec<ValueId> {
    (0..count).map(|_| graph.add_fresh_value(base, None)).collect()
}

fn new_node(
    name: &str,
    op_type: &str,
    inputs: impl IntoIterator<Item = Option<ValueId>>,
    outputs: Vec<ValueId>,
) -> Node {
    Node {
        name: format!("{name}/{op_type}"),
        op_type: op_type.to_owned(),
        inputs: inputs.into_iter().collect(),
        outputs: outputs.into_iter().map(Some).collect(),
        attributes: Attributes::default(),
    }
}

/// A Split, Squeeze or Unsqueeze with its sizes or axes where the opset has them.
fn with_ints(
    graph: &mut Graph,
    opset: u32,
    (name, op_type): (&str, &str),
    x: ValueId,
    ints: &[i64],
    outputs: Vec<ValueId>,
) -> Node {
    if opset >= SIZES_AS_INPUT {
        let ints = graph.add_constant(&format!("{name}/{op_type}/constant"), Tensor::vector_i64(ints));
        return new_node(name, op_type, [Some(x), Some(ints)], outputs);
    }
    let attribute = if op_type == "Split" { "split" } else { "axes" };
    let mut node = new_node(name, op_type, [Some(x)], outputs);
    node.attributes.0.insert(attribute.to_owned(), Attribute::Ints(ints.to_vec()));
    node
}
