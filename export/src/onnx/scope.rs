//! The names and attributes inside one call of a function.

use std::collections::HashMap;

use super::names::Names;
use super::proto::{AttributeProto, FunctionProto, NodeProto};
use crate::error::{Error, Result};

/// Renames the nodes of a function's body for one call of it.
#[derive(Debug)]
pub(super) struct Scope<'m> {
    /// What names of the caller and operators inside start with.
    prefix: String,
    values: HashMap<&'m str, String>,
    attributes: HashMap<&'m str, AttributeProto>,
    /// Outputs that are inputs handed through: (input, output) in the caller's names.
    handed_through: Vec<(String, String)>,
}

impl<'m> Scope<'m> {
    /// The scope of `call`, whose names are already the final ones.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the call has more inputs or outputs than the function, or
    /// the function declares a name twice.
    pub(super) fn new(function: &'m FunctionProto, call: &NodeProto, names: &mut Names) -> Result<Self> {
        check_count("inputs", call.input.len(), function.input.len())?;
        check_count("outputs", call.output.len(), function.output.len())?;
        let prefix = if call.name().is_empty() { function.name() } else { call.name() };
        let mut scope = Self {
            prefix: prefix.to_owned(),
            values: HashMap::new(),
            attributes: attributes(function, call),
            handed_through: Vec::new(),
        };
        for (index, formal) in function.input.iter().enumerate() {
            let actual = call.input.get(index).cloned().unwrap_or_default();
            if scope.values.insert(formal, actual).is_some() {
                return Err(Error::format(format!(
                    "the function that it calls declares the input `{formal}` twice"
                )));
            }
        }
        for (index, formal) in function.output.iter().enumerate() {
            scope.add_output(function, formal, call.output.get(index).map(String::as_str), names)?;
        }
        Ok(scope)
    }

    fn add_output(
        &mut self,
        function: &FunctionProto,
        formal: &'m str,
        actual: Option<&str>,
        names: &mut Names,
    ) -> Result<()> {
        let actual = actual.filter(|name| !name.is_empty());
        if function.input.iter().any(|input| input == formal) {
            let handed_through = actual.map(|actual| (self.values[formal].clone(), actual.to_owned()));
            self.handed_through.extend(handed_through);
            return Ok(());
        }
        let actual = actual.map_or_else(|| names.fresh(&format!("{}/{formal}", self.prefix)), str::to_owned);
        match self.values.insert(formal, actual) {
            Some(_) => {
                Err(Error::format(format!("the function that it calls declares the output `{formal}` twice")))
            }
            None => Ok(()),
        }
    }

    /// A node of the body as it stands in the caller.
    pub(super) fn node(&mut self, inner: &'m NodeProto, names: &mut Names) -> NodeProto {
        let input = inner.input.iter().map(|name| self.value(name, names)).collect();
        let output = inner.output.iter().map(|name| self.value(name, names)).collect();
        let attribute = inner.attribute.iter().filter_map(|attribute| self.attribute(attribute)).collect();
        let name = if inner.name().is_empty() { inner.op_type() } else { inner.name() };
        NodeProto {
            input,
            output,
            name: Some(format!("{}/{name}", self.prefix)),
            op_type: inner.op_type.clone(),
            domain: inner.domain.clone(),
            overload: inner.overload.clone(),
            attribute,
            ..NodeProto::default()
        }
    }

    /// Nodes that copy an input to an output, for outputs that the body does not compute.
    pub(super) fn identities(&self) -> Vec<NodeProto> {
        let identity = |(input, output): &(String, String)| NodeProto {
            input: vec![input.clone()],
            output: vec![output.clone()],
            name: Some(format!("{}/Identity", self.prefix)),
            op_type: Some("Identity".to_owned()),
            ..NodeProto::default()
        };
        self.handed_through.iter().map(identity).collect()
    }

    fn value(&mut self, name: &'m str, names: &mut Names) -> String {
        if name.is_empty() {
            return String::new();
        }
        let prefix = &self.prefix;
        self.values.entry(name).or_insert_with(|| names.fresh(&format!("{prefix}/{name}"))).clone()
    }

    /// The attribute itself, or the call's (or the function's default) that it refers to; none where that is absent.
    fn attribute(&self, inner: &AttributeProto) -> Option<AttributeProto> {
        if inner.ref_attr_name().is_empty() {
            return Some(inner.clone());
        }
        let referred = self.attributes.get(inner.ref_attr_name())?;
        Some(AttributeProto { name: inner.name.clone(), ..referred.clone() })
    }
}

fn attributes<'m>(function: &'m FunctionProto, call: &NodeProto) -> HashMap<&'m str, AttributeProto> {
    let given = |name: &str| call.attribute.iter().find(|attribute| attribute.name() == name).cloned();
    let required = function.attribute.iter().filter_map(|name| Some((name.as_str(), given(name)?)));
    let optional = function
        .attribute_proto
        .iter()
        .map(|default| (default.name(), given(default.name()).unwrap_or_else(|| default.clone())));
    required.chain(optional).collect()
}

fn check_count(what: &str, given: usize, declared: usize) -> Result<()> {
    if given > declared {
        return Err(Error::format(format!(
            "has {given} {what}, but the function that it calls declares {declared}"
        )));
    }
    Ok(())
}
