//! The names and attributes inside one call of a function.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::limits::{Allowance, Limits};
use super::names::Names;
use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::error::{Error, Result};

/// Bytes that a name or attribute costs besides its own.
const OVERHEAD: usize = 64;

/// A limit on the names and copies that inlining makes. All of them count, because any number of nodes of a function
/// can use one long name or attribute of a call.
#[derive(Debug)]
pub(super) struct InliningBudget {
    names: Names,
    bytes: Allowance,
}

impl InliningBudget {
    /// The budget of [`Limits`], and the names that the graph already uses.
    pub(super) fn new(graph: &GraphProto, limits: &Limits) -> Self {
        let mut names = Names::default();
        reserve_names(&mut names, graph);
        let what = "bytes of names and attributes in inlined functions";
        Self { names, bytes: Allowance::new(limits.attribute_bytes, what, "attribute_bytes") }
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.bytes.spend(bytes.saturating_add(OVERHEAD))
    }

    fn copy(&mut self, text: &str) -> Result<String> {
        self.spend(text.len())?;
        Ok(text.to_owned())
    }

    fn joined(&mut self, prefix: &str, name: &str) -> Result<String> {
        self.spend(prefix.len() + name.len())?;
        Ok(format!("{prefix}/{name}"))
    }

    fn fresh(&mut self, prefix: &str, name: &str) -> Result<String> {
        self.joined(prefix, name).map(|base| self.names.fresh(&base))
    }

    /// Raw tensor bytes are shared, not copied, so they cost nothing.
    fn copy_attribute(&mut self, attribute: &AttributeProto, name: Option<&str>) -> Result<AttributeProto> {
        let raw = attribute.t.as_ref().and_then(|tensor| tensor.raw_data.as_ref()).map_or(0, Bytes::len);
        self.spend(attribute.encoded_len() - raw)?;
        let name = name.map(|name| self.copy(name)).transpose()?;
        Ok(AttributeProto { name, ..attribute.clone() })
    }
}

/// Reserves the names of a graph and of the bodies in it.
fn reserve_names(names: &mut Names, graph: &GraphProto) {
    graph.input.iter().for_each(|input| names.reserve(input.name()));
    graph.output.iter().for_each(|output| names.reserve(output.name()));
    graph.initializer.iter().for_each(|tensor| names.reserve(tensor.name()));
    for node in &graph.node {
        node.input.iter().chain(&node.output).for_each(|name| names.reserve(name));
        node.attribute
            .iter()
            .filter_map(|attribute| attribute.g.as_ref())
            .for_each(|body| reserve_names(names, body));
    }
}

/// Renames the nodes of a function's body for one call of it.
#[derive(Debug)]
pub(super) struct Scope<'c> {
    /// What names of values and nodes inside start with.
    prefix: &'c str,
    values: HashMap<&'c str, String>,
    attributes: HashMap<&'c str, &'c AttributeProto>,
    /// Nodes that copy an input to an output, for outputs that the body does not compute.
    identities: Vec<NodeProto>,
}

impl<'c> Scope<'c> {
    /// The scope of `call`, whose names are already the final ones.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the call has more inputs or outputs than the function, or
    /// the function declares a name twice; [`ErrorKind::Limit`](crate::ErrorKind::Limit) when the budget is exhausted.
    pub(super) fn new(
        function: &'c FunctionProto,
        call: &'c NodeProto,
        budget: &mut InliningBudget,
    ) -> Result<Self> {
        check_count("inputs", call.input.len(), function.input.len())?;
        check_count("outputs", call.output.len(), function.output.len())?;
        let prefix = if call.name().is_empty() { function.name() } else { call.name() };
        let attributes = attributes(function, call, budget)?;
        let mut scope = Self { prefix, values: HashMap::new(), attributes, identities: Vec::new() };
        for (index, formal) in function.input.iter().enumerate() {
            let actual = budget.copy(call.input.get(index).map(String::as_str).unwrap_or_default())?;
            if scope.values.insert(formal, actual).is_some() {
                return Err(duplicate_declaration("input", formal));
            }
        }
        let inputs: HashSet<&str> = scope.values.keys().copied().collect();
        for (index, formal) in function.output.iter().enumerate() {
            let actual = call.output.get(index).map(String::as_str).filter(|name| !name.is_empty());
            match inputs.contains(formal.as_str()) {
                true => scope.pass_through(formal, actual, budget)?,
                false => scope.add_output(formal, actual, budget)?,
            }
        }
        Ok(scope)
    }

    fn add_output(
        &mut self,
        formal: &'c str,
        actual: Option<&str>,
        budget: &mut InliningBudget,
    ) -> Result<()> {
        let actual = match actual {
            Some(actual) => budget.copy(actual)?,
            None => budget.fresh(self.prefix, formal)?,
        };
        match self.values.insert(formal, actual) {
            Some(_) => Err(duplicate_declaration("output", formal)),
            None => Ok(()),
        }
    }

    fn pass_through(
        &mut self,
        formal: &'c str,
        actual: Option<&str>,
        budget: &mut InliningBudget,
    ) -> Result<()> {
        let Some(actual) = actual else { return Ok(()) };
        let input = self.value(formal, budget)?;
        self.identities.push(NodeProto {
            input: vec![input],
            output: vec![budget.copy(actual)?],
            name: Some(budget.joined(self.prefix, "Identity")?),
            op_type: Some("Identity".to_owned()),
            ..NodeProto::default()
        });
        Ok(())
    }

    /// A node of the function's body, renamed for the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) when the budget is exhausted.
    pub(super) fn node(&mut self, inner: &'c NodeProto, budget: &mut InliningBudget) -> Result<NodeProto> {
        let name = if inner.name().is_empty() { inner.op_type() } else { inner.name() };
        Ok(NodeProto {
            input: inner.input.iter().map(|name| self.value(name, budget)).collect::<Result<_>>()?,
            output: inner.output.iter().map(|name| self.value(name, budget)).collect::<Result<_>>()?,
            name: Some(budget.joined(self.prefix, name)?),
            op_type: Some(budget.copy(inner.op_type())?),
            domain: Some(budget.copy(inner.domain())?),
            overload: Some(budget.copy(inner.overload())?),
            attribute: self.node_attributes(inner, budget)?,
            ..NodeProto::default()
        })
    }

    /// The identities that stand after the body.
    pub(super) fn into_identities(self) -> Vec<NodeProto> {
        self.identities
    }

    fn value(&mut self, name: &'c str, budget: &mut InliningBudget) -> Result<String> {
        if name.is_empty() {
            return Ok(String::new());
        }
        if let Some(value) = self.values.get(name) {
            return budget.copy(value);
        }
        let value = budget.fresh(self.prefix, name)?;
        self.values.insert(name, budget.copy(&value)?);
        Ok(value)
    }

    /// The node's attributes; one that refers to an attribute of the call, or to the function's default for it, becomes
    /// that, and is left out where both are absent.
    fn node_attributes(
        &mut self,
        inner: &'c NodeProto,
        budget: &mut InliningBudget,
    ) -> Result<Vec<AttributeProto>> {
        let mut attributes = Vec::new();
        for attribute in &inner.attribute {
            if let Some(body) = &attribute.g {
                let (g, name) =
                    (Some(Box::new(self.body(body, budget)?)), Some(budget.copy(attribute.name())?));
                attributes.push(AttributeProto {
                    g,
                    name,
                    r#type: attribute.r#type,
                    ..AttributeProto::default()
                });
                continue;
            }
            let value = match attribute.ref_attr_name() {
                "" => Some(attribute),
                referred => self.attributes.get(referred).copied(),
            };
            if let Some(value) = value {
                attributes.push(budget.copy_attribute(value, attribute.name.as_deref())?);
            }
        }
        Ok(attributes)
    }
}

impl<'c> Scope<'c> {
    /// The body of an If or a Loop of the function. Names are unique across bodies, so that one table serves all.
    fn body(&mut self, body: &'c GraphProto, budget: &mut InliningBudget) -> Result<GraphProto> {
        let mut renamed = GraphProto { name: body.name.clone(), ..GraphProto::default() };
        for input in &body.input {
            let name = Some(self.value(input.name(), budget)?);
            renamed.input.push(ValueInfoProto { name, ..ValueInfoProto::default() });
        }
        for tensor in &body.initializer {
            let raw = tensor.raw_data.as_ref().map_or(0, Bytes::len);
            budget.spend(tensor.encoded_len() - raw)?;
            let name = Some(self.value(tensor.name(), budget)?);
            renamed.initializer.push(TensorProto { name, ..tensor.clone() });
        }
        for node in &body.node {
            renamed.node.push(self.node(node, budget)?);
        }
        for output in &body.output {
            let name = Some(self.value(output.name(), budget)?);
            renamed.output.push(ValueInfoProto { name, ..ValueInfoProto::default() });
        }
        Ok(renamed)
    }
}

/// The function's attributes, as the call gives them or by default.
fn attributes<'c>(
    function: &'c FunctionProto,
    call: &'c NodeProto,
    budget: &mut InliningBudget,
) -> Result<HashMap<&'c str, &'c AttributeProto>> {
    budget.spend(OVERHEAD * (function.attribute.len() + function.attribute_proto.len()))?;
    let given: HashMap<&str, _> =
        call.attribute.iter().map(|attribute| (attribute.name(), attribute)).collect();
    let required =
        function.attribute.iter().filter_map(|name| Some((name.as_str(), *given.get(name.as_str())?)));
    let optional = function.attribute_proto.iter().map(|default| {
        let name = default.name();
        (name, given.get(name).copied().unwrap_or(default))
    });
    Ok(required.chain(optional).collect())
}

fn check_count(what: &str, given: usize, declared: usize) -> Result<()> {
    if given > declared {
        return Err(Error::format(format!(
            "has {given} {what}, but the function that it calls declares {declared}"
        )));
    }
    Ok(())
}

fn duplicate_declaration(what: &str, name: &str) -> Error {
    Error::format(format!("the function that it calls declares the {what} `{name}` twice"))
}
