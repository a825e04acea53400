//! Einsum.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType};

/// An equation with a letter for every axis: what `…` stood for has letters of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Equation {
    /// The axes of each operand.
    pub(crate) operands: Vec<Vec<char>>,
    /// The axes of the result.
    pub(crate) output: Vec<char>,
    /// The size of each axis; where an operand has 1, it is repeated.
    pub(crate) sizes: BTreeMap<char, Dim>,
}

/// `Einsum(operands…)`
pub(crate) fn einsum(view: &NodeView) -> Result<Vec<TensorType>> {
    let inputs = view.inputs()?;
    let shapes: Vec<&Shape> = inputs.iter().map(|input| &input.shape).collect();
    let equation = Equation::parse(view.node.attributes.text("equation", "")?, &shapes)?;
    let dims = equation.output.iter().map(|label| equation.sizes[label]).collect();
    Ok(vec![typed(view.dtype(0)?, dims)])
}

impl Equation {
    /// Reads `equation` for operands of these shapes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when it is not an equation,
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when the shapes do not fit it, and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when it takes a diagonal.
    pub(crate) fn parse(equation: &str, shapes: &[&Shape]) -> Result<Self> {
        let text: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let terms: Vec<Term> = left.split(',').map(Term::parse).collect::<Result<_>>()?;
        if terms.len() != shapes.len() {
            return Err(Error::format(format!("equation `{equation}` for {} operands", shapes.len())));
        }
        let dots = dotted_axes(&terms, shapes)
            .ok_or_else(|| Error::shape(format!("equation `{equation}` does not fit {}", shown(shapes))))?;
        let used: BTreeSet<char> = text.chars().collect();
        let dots: Vec<char> =
            ('a'..='z').chain('A'..='Z').filter(|letter| !used.contains(letter)).take(dots).collect();
        let operands: Vec<Vec<char>> = terms
            .iter()
            .zip(shapes)
            .map(|(term, shape)| term.labels(&dots[dots.len() - term.dotted(shape).unwrap_or(0)..]))
            .collect();
        let output = match right {
            Some(right) => Term::parse(right)?.labels(&dots),
            None => implicit_output(&operands, &dots),
        };
        let sizes = sizes(&operands, shapes)
            .ok_or_else(|| Error::shape(format!("equation `{equation}` does not fit {}", shown(shapes))))?;
        let parsed = Self { operands, output, sizes };
        parsed.check(equation)?;
        Ok(parsed)
    }

    fn check(&self, equation: &str) -> Result<()> {
        let repeats = |labels: &Vec<char>| labels.iter().collect::<BTreeSet<_>>().len() != labels.len();
        if self.operands.iter().any(repeats) {
            return Err(Error::unsupported(format!(
                "equation `{equation}` takes a diagonal, which is not supported; export the model without it"
            )));
        }
        if repeats(&self.output) || self.output.iter().any(|label| !self.sizes.contains_key(label)) {
            return Err(Error::format(format!(
                "equation `{equation}` has an index in its result that no operand has"
            )));
        }
        Ok(())
    }
}

/// One operand, or the result: letters before and after the `…`, where there is one.
struct Term {
    before: Vec<char>,
    after: Option<Vec<char>>,
}

impl Term {
    fn parse(text: &str) -> Result<Self> {
        let letters = |part: &str| -> Result<Vec<char>> {
            match part.chars().find(|letter| !letter.is_ascii_alphabetic()) {
                Some(other) => {
                    Err(Error::format(format!("the equation has `{other}` where a letter was wanted")))
                }
                None => Ok(part.chars().collect()),
            }
        };
        Ok(match text.split_once("...") {
            Some((before, after)) => Self { before: letters(before)?, after: Some(letters(after)?) },
            None => Self { before: letters(text)?, after: None },
        })
    }

    /// How many axes of a tensor of that shape the `…` stands for.
    fn dotted(&self, shape: &Shape) -> Option<usize> {
        match &self.after {
            Some(after) => shape.rank().checked_sub(self.before.len() + after.len()),
            None => (shape.rank() == self.before.len()).then_some(0),
        }
    }

    fn labels(&self, dots: &[char]) -> Vec<char> {
        match &self.after {
            Some(after) => [&self.before[..], dots, after].concat(),
            None => self.before.clone(),
        }
    }
}

/// The most axes that a `…` stands for; `None` where an operand has too few axes, or other than it says.
fn dotted_axes(terms: &[Term], shapes: &[&Shape]) -> Option<usize> {
    let counts: Option<Vec<usize>> =
        terms.iter().zip(shapes).map(|(term, shape)| term.dotted(shape)).collect();
    counts?.into_iter().max()
}

/// The dotted axes, then the letters that occur once, in alphabetical order.
fn implicit_output(operands: &[Vec<char>], dots: &[char]) -> Vec<char> {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    operands.iter().flatten().for_each(|label| *counts.entry(*label).or_default() += 1);
    let once = counts.into_iter().filter(|(label, count)| *count == 1 && !dots.contains(label));
    dots.iter().copied().chain(once.map(|(label, _)| label)).collect()
}

fn sizes(operands: &[Vec<char>], shapes: &[&Shape]) -> Option<BTreeMap<char, Dim>> {
    let mut sizes = BTreeMap::new();
    for (label, dim) in operands.iter().zip(shapes).flat_map(|(labels, shape)| labels.iter().zip(&shape.0)) {
        let size = sizes.entry(*label).or_insert(*dim);
        match (*size, *dim) {
            (known, new) if known == new => {}
            (Dim::Fixed(1), new) => *size = new,
            (_, Dim::Fixed(1)) => {}
            _ => return None,
        }
    }
    Some(sizes)
}

fn shown(shapes: &[&Shape]) -> String {
    shapes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
