//! Classifiers with as many nodes as are wanted, for benches and tests of how time grows with them.
//!
//! Passes that walk a graph once for each node that they change are quick on every model that people export, and take hours
//! on a file that somebody made for that.

use crate::error::Result;
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::tensor::{DataType, Tensor};

/// Height and width of an image, which has one channel.
const SIDE: usize = 4;

/// Classes.
const CLASSES: usize = 5;

/// What the nodes of a large graph are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// One Identity behind the other: all are left out.
    Identities,
    /// One Relu behind the other.
    Relus,
    /// Tanh, of which nothing can be left out.
    Tanhs,
    /// Transpositions that cancel in pairs.
    Transposes,
    /// Reshapes there and back.
    Reshapes,
    /// Additions of one constant, which can be added to each other.
    Constants,
    /// Additions of a value to itself: each is used twice.
    Doublings,
    /// Additions of the images: one value is used by all nodes.
    Fan,
    /// Products with a scalar and squares in turn.
    Products,
    /// Softmax.
    Softmaxes,
    /// Self-attention, `softmax(v·vᵀ)·v`, again and again.
    Attentions,
    /// Convolutions with kernels of one pixel.
    Convolutions,
    /// `x + tanh(x)`, again and again.
    Residuals,
    /// `min(relu(x), tanh(x))`, again and again.
    Diamonds,
    /// Tanh of the images many times, and one Sum of all.
    WideSum,
    /// Sin and Cos of the images many times, and one Concat of all.
    WideConcat,
    /// One Split into many, and one Sum of all.
    WideSplit,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Identities,
        Self::Relus,
        Self::Tanhs,
        Self::Transposes,
        Self::Reshapes,
        Self::Constants,
        Self::Doublings,
        Self::Fan,
        Self::Products,
        Self::Softmaxes,
        Self::Attentions,
        Self::Convolutions,
        Self::Residuals,
        Self::Diamonds,
        Self::WideSum,
        Self::WideConcat,
        Self::WideSplit,
    ];

    /// Its name, in lowercase.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// A classifier of images `x` `[N, 1, 4, 4]` in 5 classes `y` with `nodes` nodes, give or take five.
    ///
    /// # Errors
    /// None for a graph that fits in memory.
    pub fn graph(self, nodes: usize) -> Result<Graph> {
        let mut graph = Graph::new(self.name(), 20);
        let shape = Shape([Dim::N, Dim::Fixed(1), Dim::Fixed(SIDE), Dim::Fixed(SIDE)].to_vec());
        let images = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape }))?;
        graph.add_input(images);
        let mut large = Large { graph, images };
        let body = large.body(self, nodes);
        large.head(body)
    }
}

struct Large {
    graph: Graph,
    images: ValueId,
}

impl Large {
    fn body(&mut self, pattern: Pattern, nodes: usize) -> ValueId {
        let scale = self.constant("scale", &[], &[0.9]);
        let grid = self.constant("grid", &[1, 1, SIDE, SIDE], &[0.01; SIDE * SIDE]);
        let kernel = self.constant("kernel", &[1, 1, 1, 1], &[0.99]);
        let targets = [[0, 1, 2, 8], [0, 1, 4, 4]]
            .map(|dims| self.graph.add_constant("dims", Tensor::vector_i64(&dims)));
        match pattern {
            Pattern::Identities => self.chain(nodes, |this, value, _| this.op("Identity", &[value])),
            Pattern::Relus => self.chain(nodes, |this, value, _| this.op("Relu", &[value])),
            Pattern::Tanhs => self.chain(nodes, |this, value, _| this.op("Tanh", &[value])),
            Pattern::Transposes => self.chain(nodes, |this, value, _| {
                this.op_with("Transpose", &[value], "perm", Attribute::Ints(vec![0, 1, 3, 2]))
            }),
            Pattern::Reshapes => {
                self.chain(nodes, |this, value, index| this.op("Reshape", &[value, targets[index % 2]]))
            }
            Pattern::Constants => self.chain(nodes, |this, value, _| this.op("Add", &[value, grid])),
            Pattern::Doublings => self.chain(nodes, |this, value, _| this.op("Add", &[value, value])),
            Pattern::Fan => self.chain(nodes, |this, value, _| this.op("Add", &[value, this.images])),
            Pattern::Products => self.chain(nodes, |this, value, index| {
                this.op("Mul", &[value, if index % 2 == 0 { scale } else { value }])
            }),
            Pattern::Softmaxes => self
                .chain(nodes, |this, value, _| this.op_with("Softmax", &[value], "axis", Attribute::Int(-1))),
            Pattern::Attentions => self.chain(nodes / 4, |this, value, _| {
                let transposed =
                    this.op_with("Transpose", &[value], "perm", Attribute::Ints(vec![0, 1, 3, 2]));
                let scores = this.op("MatMul", &[value, transposed]);
                let shares = this.op_with("Softmax", &[scores], "axis", Attribute::Int(-1));
                this.op("MatMul", &[shares, value])
            }),
            Pattern::Convolutions => self.chain(nodes, |this, value, _| this.op("Conv", &[value, kernel])),
            Pattern::Residuals => self.chain(nodes / 2, |this, value, _| {
                let branch = this.op("Tanh", &[value]);
                this.op("Add", &[value, branch])
            }),
            Pattern::Diamonds => self.chain(nodes / 3, |this, value, _| {
                let (left, right) = (this.op("Relu", &[value]), this.op("Tanh", &[value]));
                this.op("Min", &[left, right])
            }),
            Pattern::WideSum => self.wide(nodes, "Sum", |_| "Tanh"),
            Pattern::WideConcat => {
                let wide = self.wide(nodes, "Concat", |index| if index % 2 == 0 { "Cos" } else { "Sin" });
                let axes = self.graph.add_constant("axes", Tensor::vector_i64(&[1]));
                self.op("ReduceMean", &[wide, axes])
            }
            Pattern::WideSplit => self.split(nodes),
        }
    }

    /// `steps` nodes or groups of nodes, one behind the other.
    fn chain(&mut self, steps: usize, step: impl Fn(&mut Self, ValueId, usize) -> ValueId) -> ValueId {
        (0..steps).fold(self.images, |value, index| step(self, value, index))
    }

    /// Many nodes of the images, and one of all.
    fn wide(&mut self, nodes: usize, join: &str, operator: impl Fn(usize) -> &'static str) -> ValueId {
        let parts: Vec<ValueId> = (0..nodes).map(|index| self.op(operator(index), &[self.images])).collect();
        match join {
            "Concat" => self.op_with("Concat", &parts, "axis", Attribute::Int(1)),
            _ => self.op(join, &parts),
        }
    }

    /// The images so many times, apart again: each part is negated, and all are added up.
    fn split(&mut self, nodes: usize) -> ValueId {
        let repeats = self.graph.add_constant("repeats", Tensor::vector_i64(&[1, nodes as i64, 1, 1]));
        let tiled = self.op("Tile", &[self.images, repeats]);
        let parts: Vec<ValueId> = (0..nodes).map(|_| self.graph.add_fresh_value("part", None)).collect();
        self.graph.push_node(Node {
            name: "split".into(),
            op_type: "Split".into(),
            inputs: vec![Some(tiled)],
            outputs: parts.iter().copied().map(Some).collect(),
            attributes: Attributes::from_pairs([
                ("axis", Attribute::Int(1)),
                ("num_outputs", Attribute::Int(nodes as i64)),
            ]),
        });
        let negated: Vec<ValueId> = parts.into_iter().map(|part| self.op("Neg", &[part])).collect();
        self.op("Sum", &negated)
    }

    fn head(mut self, value: ValueId) -> Result<Graph> {
        let width = SIDE * SIDE;
        let weights: Vec<f32> =
            (0..width * CLASSES).map(|index| ((index * 7 % 11) as f32 - 5.0) / 20.0).collect();
        let weights = self.constant("weights", &[width, CLASSES], &weights);
        let flat = self.op_with("Flatten", &[value], "axis", Attribute::Int(1));
        let logits = self.op("MatMul", &[flat, weights]);
        self.graph.rename(logits, "y")?;
        self.graph.add_output(logits);
        self.graph.prune();
        Ok(self.graph)
    }

    fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) -> ValueId {
        self.graph.add_constant(name, Tensor::from_f32(dims, values))
    }

    fn op(&mut self, op_type: &str, inputs: &[ValueId]) -> ValueId {
        self.push(op_type, inputs, Attributes::default())
    }

    fn op_with(&mut self, op_type: &str, inputs: &[ValueId], name: &str, value: Attribute) -> ValueId {
        self.push(op_type, inputs, Attributes::from_pairs([(name, value)]))
    }

    fn push(&mut self, op_type: &str, inputs: &[ValueId], attributes: Attributes) -> ValueId {
        let output = self.graph.add_fresh_value("v", None);
        let name = self.graph.value(output).name.clone();
        self.graph.push_node(Node {
            name,
            op_type: op_type.to_owned(),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(output)],
            attributes,
        });
        output
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mimir_bundle::Loss;

    use super::*;
    use crate::graph::visits;
    use crate::onnx::{Limits, read_model_bytes, write_model};
    use crate::{ImageClassifier, InputSpec};

    /// The nodes that reading, simplifying and differentiating a graph of `nodes` nodes visit, by place.
    fn visited(pattern: Pattern, nodes: usize) -> BTreeMap<String, u64> {
        let file = write_model(&pattern.graph(nodes).unwrap()).unwrap();
        visits::during(|| {
            let file = read_model_bytes(file.into(), None, &Limits::default()).unwrap();
            let classifier = ImageClassifier::new(file, &InputSpec::default()).unwrap();
            classifier.forward_onnx().unwrap();
            classifier.gradient_onnx(Loss::CrossEntropy).unwrap();
            classifier.margin_onnx().unwrap();
        })
    }

    /// Twice the nodes, twice the visits: no place walks the graph for each node. (Places that only ask for the number of
    /// nodes, or for one, count as walks: they must not do so in a loop either.)
    #[test]
    fn twice_the_nodes_are_visited_twice_as_often() {
        let mut found = Vec::new();
        for pattern in Pattern::ALL {
            let (small, large) = (visited(pattern, 100), visited(pattern, 200));
            for (place, count) in large {
                let before = small.get(&place).copied().unwrap_or_default();
                if 10 * count > 23 * before + 10 * MORE {
                    found.push(format!(
                        "{}: {place}: {before} visits of 100 nodes, {count} of 200",
                        pattern.name()
                    ));
                }
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// Visits that do not count: of a few walks more.
    const MORE: u64 = 2_000;
}
