//! Inlines model-local functions.
//!
//! Eighteen functions that each call the previous one twice turn a file of one kilobyte into 262,144 nodes. Every step
//! is therefore limited by a budget: nodes and calls, and the text that is copied for them ([`InliningBudget`]).

use std::collections::HashMap;

use super::domains;
use super::function_scope::{InliningBudget, Scope};
use super::limits::{Allowance, Limits, exceeded};
use super::node;
use super::proto::{FunctionProto, GraphProto, NodeProto};
use super::versions::{default_opset, is_default_domain};
use crate::error::{Error, Result};

/// The nodes of the graph, all of the default domain.
///
/// # Errors
/// Names the node that calls a function of another opset, itself, too deeply, or an operator that is neither ONNX's nor
/// a function of the model.
pub(super) fn inline(
    graph: &GraphProto,
    functions: &[FunctionProto],
    opset: u32,
    limits: &Limits,
) -> Result<Vec<NodeProto>> {
    let mut inliner = Inliner {
        functions: by_key(functions)?,
        opset: i64::from(opset),
        nesting: limits.nesting,
        nodes: Allowance::new(limits.nodes as u64, "nodes after inlining functions", "nodes"),
        budget: InliningBudget::new(graph, limits),
        active: Vec::new(),
        inlined: Vec::new(),
    };
    for node in &graph.node {
        inliner.expand(node.clone())?;
    }
    Ok(inliner.inlined)
}

/// Domain, name and overload.
type Key<'m> = (&'m str, &'m str, &'m str);

fn key_of(function: &FunctionProto) -> Key<'_> {
    (function.domain(), function.name(), function.overload())
}

/// A function, and the opset of the default domain that it is written in.
struct Callable<'m> {
    function: &'m FunctionProto,
    opset: Option<i64>,
}

fn by_key(functions: &[FunctionProto]) -> Result<HashMap<Key<'_>, Callable<'_>>> {
    let mut by_key = HashMap::new();
    for function in functions {
        let key @ (domain, name, _) = key_of(function);
        if is_default_domain(domain) {
            return Err(Error::unsupported(format!(
                "function `{name}` replaces an operator of ONNX's own domain: give it a domain of its own"
            )));
        }
        let opset = default_opset(&function.opset_import)?;
        if by_key.insert(key, Callable { function, opset }).is_some() {
            return Err(Error::format(format!("function `{domain}::{name}` is defined twice")));
        }
    }
    Ok(by_key)
}

struct Inliner<'m> {
    functions: HashMap<Key<'m>, Callable<'m>>,
    opset: i64,
    nesting: usize,
    nodes: Allowance,
    budget: InliningBudget,
    /// The functions being expanded, outermost first.
    active: Vec<Key<'m>>,
    inlined: Vec<NodeProto>,
}

impl<'m> Inliner<'m> {
    fn expand(&mut self, node: NodeProto) -> Result<()> {
        self.nodes.spend(1).map_err(|error| error.at(node::location(&node)))?;
        let key = (node.domain(), node.op_type(), node.overload());
        let is_call = !is_default_domain(node.domain())
            && (self.functions.contains_key(&key) || !domains::is_known(node.domain(), node.op_type()));
        if is_call {
            return self.expand_call(&node);
        }
        expect_no_domain(&node)?;
        let node = self.expand_bodies(node)?;
        self.inlined.push(node);
        Ok(())
    }

    /// Inlines the calls in the bodies of an If or a Loop.
    fn expand_bodies(&mut self, mut node: NodeProto) -> Result<NodeProto> {
        for body in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
            let around = std::mem::take(&mut self.inlined);
            for inner in std::mem::take(&mut body.node) {
                self.expand(inner)?;
            }
            body.node = std::mem::replace(&mut self.inlined, around);
        }
        Ok(node)
    }

    fn expand_call(&mut self, call: &NodeProto) -> Result<()> {
        let at_call = |error: Error| error.at(node::location(call));
        let function = self.function(call).map_err(at_call)?;
        let mut scope = Scope::new(function, call, &mut self.budget).map_err(at_call)?;
        self.active.push(key_of(function));
        for inner in &function.node {
            let inner = scope.node(inner, &mut self.budget).map_err(at_call)?;
            self.expand(inner)?;
        }
        for identity in scope.into_identities() {
            self.expand(identity)?;
        }
        self.active.pop();
        Ok(())
    }

    fn function(&self, call: &NodeProto) -> Result<&'m FunctionProto> {
        let key = (call.domain(), call.op_type(), call.overload());
        let Callable { function, opset } = self.functions.get(&key).ok_or_else(|| unknown_domain(call))?;
        if self.active.contains(&key) {
            return Err(Error::format(
                "the function that it calls contains this call: recursive functions are not supported",
            ));
        }
        if self.active.len() >= self.nesting {
            return Err(exceeded("nested function calls", self.nesting, "nesting"));
        }
        match opset {
            Some(version) if *version != self.opset => Err(Error::unsupported(format!(
                "the function that it calls is written in opset {version}, the model in {}: export with one opset",
                self.opset
            ))),
            _ => Ok(function),
        }
    }
}

/// A graph holds the domain of an operator in its name, before `::`. A file that wrote it so would bring operators past the
/// list of [`domains`], those of ONNX Runtime and our own.
fn expect_no_domain(node: &NodeProto) -> Result<()> {
    if node.op_type().contains("::") {
        let message = format!(
            "operator `{}`; wanted a name without `::`: the domain of an operator is in a field of its own",
            node.op_type()
        );
        return Err(Error::format(message).at(node::location(node)));
    }
    Ok(())
}

fn unknown_domain(node: &NodeProto) -> Error {
    if node.domain() == domains::AI_ONNX_ML {
        return unsupported_ai_onnx_ml(node.op_type());
    }
    Error::unsupported(format!(
        "is of domain `{}`; supported are ONNX's own domain, functions that the model defines, and the quantised \
         operators of ONNX Runtime: export without fused or custom operators, or define this one as a function of \
         the model \
         (in PyTorch: `custom_translation_table` with standard operators)",
        node.domain()
    ))
}

fn unsupported_ai_onnx_ml(op_type: &str) -> Error {
    if op_type.starts_with("TreeEnsemble") {
        return Error::unsupported(
            "is an ensemble of decision trees: its scores are piecewise constant and have no gradient, and every \
             evaluation here needs a differentiable copy; evaluate a differentiable model (linear, kernel, neural \
             network), or use an attack for tree ensembles",
        );
    }
    Error::unsupported(format!(
        "is of domain `{}`, the models of scikit-learn, and has no gradient rule; docs/operators.md lists the \
         operators that have one: export a pipeline of these, or, for a neural network, the part up to the scores \
         in standard operators \
         (`onnx.utils.extract_model`)",
        domains::AI_ONNX_ML
    ))
}
