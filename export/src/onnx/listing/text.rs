//! The canonical text of a listing.

use std::fmt::{self, Write as _};

use super::document::{
    AttributeListing, FunctionListing, GraphListing, Listing, NodeListing, TensorListing, ValueListing,
};
use super::names::{quoted_unless_plain, value_name};
use super::read::list_own;
use crate::graph::Graph;
use crate::onnx::write::model_proto;

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph ({})", opsets(self.opsets.iter()))?;
        for (key, value) in &self.metadata {
            writeln!(f, "metadata {key:?} = {value:?}")?;
        }
        if self.training > 0 {
            writeln!(f, "training information, not shown: {}", self.training)?;
        }
        write!(f, "{}", Body(&self.graph, 0))?;
        self.functions.iter().try_for_each(|function| write!(f, "{function}"))
    }
}

/// The text of the file that the graph would be written as.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match list_own(&model_proto(self)) {
            Ok(listing) => write!(f, "{listing}"),
            Err(error) => write!(f, "graph that cannot be shown: {error}"),
        }
    }
}

fn opsets<'l>(imports: impl Iterator<Item = (&'l String, &'l i64)>) -> String {
    let shown = imports.map(|(domain, version)| match domain.as_str() {
        "" => format!("opset {version}"),
        domain => format!("{} {version}", quoted_unless_plain(domain)),
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for FunctionListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {} ({})", quoted_unless_plain(&self.name), opsets(self.opsets.iter()))?;
        if !self.attributes.is_empty() {
            let attributes = self.attributes.iter().map(|name| match self.defaults.get(name) {
                Some(value) => format!("{} = {}", quoted_unless_plain(name), attribute_text(value, 1)),
                None => quoted_unless_plain(name),
            });
            write!(f, " {{{}}}", attributes.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(f)?;
        write!(f, "{}", Body(&self.body, 1))
    }
}

/// The lines of a graph, that many levels deep.
struct Body<'l>(&'l GraphListing, usize);

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(graph, depth) = *self;
        let indent = "  ".repeat(depth);
        for input in &graph.inputs {
            writeln!(f, "{indent}input {input}")?;
        }
        for constant in &graph.constants {
            let TensorListing { name, .. } = constant;
            let form = if constant.sparse { "sparse " } else { "" };
            writeln!(f, "{indent}const {}: {form}{constant}", value_name(name))?;
        }
        for node in &graph.nodes {
            let note = node_name_note(node);
            writeln!(f, "{indent}{}{note}", node_text(node, depth))?;
        }
        for output in &graph.outputs {
            writeln!(f, "{indent}output {}", value_name(&output.name))?;
        }
        Ok(())
    }
}

impl fmt::Display for ValueListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&value_name(&self.name))?;
        match &self.value_type {
            Some(value_type) => write!(f, ": {value_type}"),
            None => Ok(()),
        }
    }
}

/// Type and content: `f32[2] = [0.5, 1.0]`.
impl fmt::Display for TensorListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} = ", self.element, self.dims)?;
        match &self.values {
            Some(values) => write!(f, "[{}]", values.join(", ")),
            None => write!(f, "sha256:{}", self.sha256),
        }
    }
}

/// The line of a node without its name.
pub(crate) fn node_text(node: &NodeListing, depth: usize) -> String {
    let outputs: Vec<String> = node.outputs.iter().map(ToString::to_string).collect();
    let inputs: Vec<String> = node.inputs.iter().map(|name| value_name(name)).collect();
    let operator = quoted_unless_plain(&node.operator);
    let mut line = format!("{} = {operator}({})", outputs.join(", "), inputs.join(", "));
    if !node.attributes.is_empty() {
        let attributes = node.attributes.iter();
        let attributes = attributes.map(|(name, value)| {
            format!("{} = {}", quoted_unless_plain(name), attribute_text(value, depth + 1))
        });
        let _ = write!(line, " {{{}}}", attributes.collect::<Vec<_>>().join(", "));
    }
    line
}

/// The name of a node, where its first output does not say it: errors name nodes.
fn node_name_note(node: &NodeListing) -> String {
    let output = node.outputs.first().map_or("", |output| &output.name);
    match node.name.as_str() {
        "" => String::new(),
        name if output.starts_with(name) => String::new(),
        name => format!("  # {}", quoted_unless_plain(name)),
    }
}

/// The text of an attribute; the lines of a body stand `depth` levels deep.
pub(crate) fn attribute_text(value: &AttributeListing, depth: usize) -> String {
    let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let body = |graph: &GraphListing| {
        format!("{{\n{}{}}}", Body(graph, depth), "  ".repeat(depth.saturating_sub(1)))
    };
    match value {
        AttributeListing::Int(value) => value.to_string(),
        AttributeListing::Float(value) => value.clone(),
        AttributeListing::Text(value) => format!("{value:?}"),
        AttributeListing::Tensor(tensor) => format!("({tensor})"),
        AttributeListing::Graph(graph) => body(graph),
        AttributeListing::Ints(values) => format!("{values:?}"),
        AttributeListing::Floats(values) => list(values.clone()),
        AttributeListing::Texts(values) => format!("{values:?}"),
        AttributeListing::Tensors(tensors) => {
            list(tensors.iter().map(|tensor| format!("({tensor})")).collect())
        }
        AttributeListing::Graphs(graphs) => list(graphs.iter().map(body).collect()),
        AttributeListing::Types(types) => list(types.clone()),
        AttributeListing::Reference(name) => format!("@{}", quoted_unless_plain(name)),
    }
}
