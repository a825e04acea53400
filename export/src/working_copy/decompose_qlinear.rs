//! Decomposes operators on quantised tensors: DequantizeLinear of each input, the operator, QuantizeLinear.
//!
//! That is how ONNX and ONNX Runtime define them. Their kernels work on integers directly and differ in the rounding of
//! ties. Sums of integers (ConvInteger, MatMulInteger) become sums of the same integers as floats, exact up to 2²⁴.
//! Operator pages: ONNX `QLinearConv-10`, `QLinearMatMul-21`, `ConvInteger-10`, `MatMulInteger-10`; ONNX Runtime
//! `docs/ContribOperators.md` for those of `com.microsoft`.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, ValueId};
use crate::tensor::{DataType, Tensor};

/// The first opset whose Softmax works along one axis.
const SOFTMAX_ALONG_AXIS: i64 = 13;

/// A copy of the file's graph, bodies included, without such operators.
pub(super) fn decompose(original: &Graph) -> Result<Graph> {
    let mut graph = original.clone();
    let nodes = graph.nodes().to_vec();
    let mut integer_sums = HashMap::new();
    let mut written = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for attribute in node.attributes.0.values_mut() {
            if let Attribute::Graph(body) = attribute {
                body.graph = decompose(&body.graph)?;
            }
        }
        check_use(&node, &integer_sums)?;
        let mut decomposition = Decomposition { graph: &mut graph, node: &node, nodes: Vec::new() };
        if decomposition.decompose().map_err(|error| error.at_node(&node))? {
            if matches!(node.op_type.as_str(), "ConvInteger" | "MatMulInteger") {
                integer_sums.insert(node.output(0)?, node.name.clone());
            }
            written.append(&mut decomposition.nodes);
        } else {
            written.push(node);
        }
    }
    graph.set_nodes(written);
    Ok(graph)
}

/// Sums of integers have become floats: only a Cast to float accepts either.
fn check_use(node: &Node, integer_sums: &HashMap<ValueId, String>) -> Result<()> {
    let sum = node.inputs.iter().flatten().find_map(|id| integer_sums.get(id));
    match sum {
        Some(sum) if node.op_type != "Cast" => Err(Error::unsupported(format!(
            "reads the integers of node `{sum}`, which is supported only for a Cast: quantise the model with \
             QuantizeLinear and \
             DequantizeLinear (in ONNX Runtime, `quantize_static` with `QuantFormat.QDQ`)"
        ))
        .at_node(node)),
        _ => Ok(()),
    }
}

struct Decomposition<'g> {
    graph: &'g mut Graph,
    node: &'g Node,
    nodes: Vec<Node>,
}

impl Decomposition<'_> {
    /// Whether the operator is one of these; if so, `nodes` is filled.
    fn decompose(&mut self) -> Result<bool> {
        match self.node.op_type.as_str() {
            "QLinearConv" => self.conv()?,
            "QLinearMatMul" => {
                let operands = [self.dequantize_input([0, 1, 2], 1)?, self.dequantize_input([3, 4, 5], -1)?];
                self.quantize("MatMul", &operands, self.node.attributes.clone(), [6, 7])?;
            }
            "ConvInteger" => self.integer_product("Conv")?,
            "MatMulInteger" => self.integer_product("MatMul")?,
            "com.microsoft::QLinearAdd" | "com.microsoft::QLinearMul" => {
                let operands = [self.dequantize_input([0, 1, 2], 1)?, self.dequantize_input([3, 4, 5], 1)?];
                let op_type = self.node.op_type.trim_start_matches("com.microsoft::QLinear");
                self.quantize(op_type, &operands, Attributes::default(), [6, 7])?;
            }
            "com.microsoft::QLinearSigmoid" => self.unary("Sigmoid")?,
            "com.microsoft::QLinearLeakyRelu" => self.unary("LeakyRelu")?,
            "com.microsoft::QLinearSoftmax" => self.unary("Softmax")?,
            "com.microsoft::QLinearGlobalAveragePool" => self.unary("GlobalAveragePool")?,
            "com.microsoft::QLinearAveragePool" => self.unary("AveragePool")?,
            "com.microsoft::QLinearConcat" => self.concat()?,
            "com.microsoft::QLinearWhere" => self.where_()?,
            "com.microsoft::QGemm" => self.gemm()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn conv(&mut self) -> Result<()> {
        let mut operands = vec![self.dequantize_input([0, 1, 2], 1)?, self.dequantize_input([3, 4, 5], 0)?];
        if let Some(bias) = self.node.optional_input(8) {
            let scale = self.multiply("scale", self.node.input(1)?, self.node.input(4)?);
            operands.push(self.dequantize("bias", bias, scale, None, 0));
        }
        self.quantize("Conv", &operands, self.node.attributes.clone(), [6, 7])
    }

    /// `alpha·A·B + C`, the integers of `C` in steps of `alpha·a_scale·b_scale`.
    fn gemm(&mut self) -> Result<()> {
        let attributes = self.node.attributes.clone();
        let columns = i64::from(attributes.int("transB", 0)? == 0);
        let mut operands =
            vec![self.dequantize_input([0, 1, 2], 1)?, self.dequantize_input([3, 4, 5], columns)?];
        if let Some(bias) = self.node.optional_input(6) {
            let alpha = Tensor::scalar_f32(attributes.float("alpha", 1.0)?);
            let alpha = self.graph.add_constant(&format!("{}/alpha", self.node.name), alpha);
            let scale = self.multiply("scale", self.node.input(1)?, self.node.input(4)?);
            let scale = self.multiply("bias_scale", scale, alpha);
            operands.push(self.dequantize("bias", bias, scale, None, 0));
        }
        if self.node.optional_input(7).is_some() {
            return self.quantize("Gemm", &operands, attributes, [7, 8]);
        }
        let inputs = operands.into_iter().map(Some).collect();
        self.push("Gemm", "Gemm", inputs, self.node.output(0)?, attributes);
        Ok(())
    }

    /// `f(x)` of `(x, scale, zero point, scale of y, zero point of y)`.
    fn unary(&mut self, op_type: &str) -> Result<()> {
        let mut attributes = self.node.attributes.clone();
        if attributes.int("channels_last", 0)? != 0 {
            return Err(Error::unsupported(
                "has channels last: quantise the model before its layout is changed",
            ));
        }
        attributes.0.remove("channels_last");
        if op_type == "Softmax" {
            let along_axis = |opset: i64| opset >= SOFTMAX_ALONG_AXIS;
            if along_axis(attributes.int("opset", 1)?) != along_axis(self.graph.opset.into()) {
                return Err(Error::unsupported("has another opset than the model: quantise the model again"));
            }
            attributes.0.remove("opset");
        }
        let x = self.dequantize_input([0, 1, 2], 1)?;
        self.quantize(op_type, &[x], attributes, [3, 4])
    }

    /// `(scale of y, zero point of y, x₀, scale₀, zero point₀, x₁, …)`.
    fn concat(&mut self) -> Result<()> {
        let parts = self.node.inputs.len().saturating_sub(2) / 3;
        let operands: Vec<ValueId> = (0..parts)
            .map(|part| self.dequantize_input([2 + 3 * part, 3 + 3 * part, 4 + 3 * part], 1))
            .collect::<Result<_>>()?;
        self.quantize("Concat", &operands, self.node.attributes.clone(), [0, 1])
    }

    /// `(condition, x, its scale, its zero point, y, …, those of the result)`.
    fn where_(&mut self) -> Result<()> {
        let operands =
            [self.node.input(0)?, self.dequantize_input([1, 2, 3], 1)?, self.dequantize_input([4, 5, 6], 1)?];
        self.quantize("Where", &operands, Attributes::default(), [7, 8])
    }

    /// `op(a − a_zero_point, b − b_zero_point)` of `(a, b, a_zero_point, b_zero_point)`.
    fn integer_product(&mut self, op_type: &str) -> Result<()> {
        let one = self.graph.add_constant(&format!("{}/one", self.node.name), Tensor::scalar_f32(1.0));
        let a = self.dequantize("a", self.node.input(0)?, one, self.node.optional_input(2), 0);
        let ones = self.ones_like(self.node.optional_input(3), one)?;
        let axis = if op_type == "Conv" { 0 } else { -1 };
        let b = self.dequantize("b", self.node.input(1)?, ones, self.node.optional_input(3), axis);
        let attributes = self.node.attributes.clone();
        self.push(op_type, op_type, vec![Some(a), Some(b)], self.node.output(0)?, attributes);
        Ok(())
    }

    /// A scale of one for each zero point of a weight.
    fn ones_like(&mut self, zero_point: Option<ValueId>, one: ValueId) -> Result<ValueId> {
        let Some(zero_point) = zero_point else { return Ok(one) };
        let Some(points) = self.graph.constant(zero_point) else {
            return Err(Error::unsupported(
                "the zero point of its weights is computed: quantise the model again",
            ));
        };
        if points.elements() == 1 {
            return Ok(one);
        }
        let ones = Tensor::from_f32(points.dims(), &vec![1.0; points.elements()]);
        Ok(self.graph.add_constant(&format!("{}/ones", self.node.name), ones))
    }

    /// DequantizeLinear of inputs `[x, scale, zero point]`, whose scales, where there are several, lie along `axis`.
    fn dequantize_input(&mut self, [x, scale, zero_point]: [usize; 3], axis: i64) -> Result<ValueId> {
        let (values, scale) = (self.node.input(x)?, self.node.input(scale)?);
        Ok(self.dequantize(&format!("input_{x}"), values, scale, self.node.optional_input(zero_point), axis))
    }

    /// Appends a DequantizeLinear, whose scales, if there are several, lie along `axis`.
    fn dequantize(
        &mut self,
        name: &str,
        values: ValueId,
        scale: ValueId,
        zero_point: Option<ValueId>,
        axis: i64,
    ) -> ValueId {
        let output = self.graph.add_fresh_value(&format!("{}/{name}", self.node.name), None);
        let axis = Attributes::from_pairs([("axis", Attribute::Int(axis))]);
        let mut inputs = vec![Some(values), Some(scale)];
        inputs.extend(zero_point.map(Some));
        self.push(name, "DequantizeLinear", inputs, output, axis);
        output
    }

    /// The product of two values, folded if both are constant.
    fn multiply(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        let constants = self.graph.constant(a).zip(self.graph.constant(b));
        if let Some(product) = constants.and_then(|(a, b)| constant_product(a, b)) {
            return self.graph.add_constant(&format!("{}/{name}", self.node.name), product);
        }
        let output = self.graph.add_fresh_value(&format!("{}/{name}", self.node.name), None);
        self.push(name, "Mul", vec![Some(a), Some(b)], output, Attributes::default());
        output
    }

    /// The operator on floats, and QuantizeLinear with the inputs `[scale, zero point]`.
    fn quantize(
        &mut self,
        op_type: &str,
        operands: &[ValueId],
        attributes: Attributes,
        [scale, zero_point]: [usize; 2],
    ) -> Result<()> {
        let floats = self.graph.add_fresh_value(&format!("{}/{op_type}", self.node.name), None);
        self.push(op_type, op_type, operands.iter().copied().map(Some).collect(), floats, attributes);
        let zero_point = match self.node.optional_input(zero_point) {
            Some(zero_point) => zero_point,
            None => self.default_zero_point()?,
        };
        let inputs = vec![Some(floats), Some(self.node.input(scale)?), Some(zero_point)];
        self.push("output", "QuantizeLinear", inputs, self.node.output(0)?, Attributes::default());
        Ok(())
    }

    fn default_zero_point(&mut self) -> Result<ValueId> {
        let zero = Tensor::new(DataType::Uint8, Vec::new(), vec![0].into())?;
        Ok(self.graph.add_constant(&format!("{}/zero_point", self.node.name), zero))
    }

    fn push(
        &mut self,
        name: &str,
        op_type: &str,
        inputs: Vec<Option<ValueId>>,
        output: ValueId,
        attributes: Attributes,
    ) {
        let name = format!("{}/{name}", self.node.name);
        let outputs = vec![Some(output)];
        self.nodes.push(Node { name, op_type: op_type.to_owned(), inputs, outputs, attributes });
    }
}

/// The product of two constants, if one of them is a single number.
fn constant_product(a: &Tensor, b: &Tensor) -> Option<Tensor> {
    let (many, one) = if b.elements() == 1 { (a, b) } else { (b, a) };
    let factor = one.to_f32().filter(|values| values.len() == 1)?[0];
    let values: Vec<f32> = many.to_f32()?.into_iter().map(|value| value * factor).collect();
    Some(Tensor::from_f32(many.dims(), &values))
}
