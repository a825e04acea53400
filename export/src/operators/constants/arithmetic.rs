//! Arithmetic, comparison and conversion, element by element.

use std::cmp::Ordering;

use crate::facts::{Array, Content, NodeView, Symbol};

use crate::tensor::DataType;

/// What an operator computes of one or two elements.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elementwise {
    /// Of two numbers.
    Binary(fn(Symbol, Symbol) -> Symbol, fn(f64, f64) -> f64),
    /// An order of two numbers.
    Relation(fn(Ordering) -> bool),
    /// Equality, of Booleans too.
    Equality,
    /// Of two Booleans.
    Logical(fn(bool, bool) -> bool),
    /// Of one number.
    Unary(fn(Symbol) -> Symbol, fn(f64) -> f64),
    /// Of one floating-point number.
    Function(fn(f64) -> f64),
    /// Not.
    Negation,
}

impl Elementwise {
    pub(crate) const ADD: Self = Self::Binary(Symbol::plus, |a, b| a + b);
    pub(crate) const SUB: Self = Self::Binary(|a, b| a.plus(b.negated()), |a, b| a - b);
    pub(crate) const MUL: Self = Self::Binary(Symbol::times, |a, b| a * b);
    pub(crate) const DIV: Self = Self::Binary(Symbol::divided_by, |a, b| a / b);
    pub(crate) const POW: Self =
        Self::Binary(|a, b| known(a, b, |a, b| a.checked_pow(u32::try_from(b).ok()?)), f64::powf);
    pub(crate) const MIN: Self = Self::Binary(
        |a, b| known(a, b, |a, b| Some(a.min(b))),
        |a, b| if a.is_nan() || a < b { a } else { b },
    );
    pub(crate) const MAX: Self = Self::Binary(
        |a, b| known(a, b, |a, b| Some(a.max(b))),
        |a, b| if a.is_nan() || a > b { a } else { b },
    );
    pub(crate) const ABS: Self = Self::Unary(
        |symbol| symbol.int().and_then(i64::checked_abs).map_or(Symbol::Unknown, Symbol::Int),
        f64::abs,
    );
    pub(crate) const NEG: Self = Self::Unary(Symbol::negated, |x| -x);
    /// The remainder of `fmod`, which has the sign of the dividend.
    const FMOD: Self = Self::Binary(|a, b| known(a, b, i64::checked_rem), |a, b| a % b);

    /// The elements of the output, of these dimensions.
    pub(crate) fn evaluate(self, view: &NodeView, dims: &[usize]) -> Option<Content> {
        // Max and Min of three or more are left to the run time: nothing that exporters write needs them.
        if view.has(2) {
            return None;
        }
        let (first, second) = (view.content(0)?, view.content(1));
        match (&*first, second.as_deref()) {
            (Content::Int(left), Some(Content::Int(right))) => self.of_integers(left, right, dims),
            (Content::Float(left), Some(Content::Float(right))) => self.of_floats(left, right, dims),
            (Content::Bool(left), Some(Content::Bool(right))) => self.of_booleans(left, right, dims),
            (content, None) if !view.has(1) => self.of_one(content),
            _ => None,
        }
    }

    fn of_integers(self, left: &Array<Symbol>, right: &Array<Symbol>, dims: &[usize]) -> Option<Content> {
        match self {
            Self::Binary(combine, _) => left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Int),
            Self::Relation(_) | Self::Equality => {
                let holds = self.relation()?;
                let compared = left.zip(right, dims, |a, b| compare(*a, *b).map(holds))?;
                let known: Option<Vec<bool>> = compared.elements().iter().copied().collect();
                Array::new(dims.to_vec(), known?).map(Content::Bool)
            }
            _ => None,
        }
    }

    fn of_floats(self, left: &Array<f64>, right: &Array<f64>, dims: &[usize]) -> Option<Content> {
        match self {
            Self::Binary(_, combine) => left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Float),
            Self::Relation(_) | Self::Equality => {
                let holds = self.relation()?;
                left.zip(right, dims, |a, b| a.partial_cmp(b).is_some_and(holds)).map(Content::Bool)
            }
            _ => None,
        }
    }

    fn of_booleans(self, left: &Array<bool>, right: &Array<bool>, dims: &[usize]) -> Option<Content> {
        let combine: fn(bool, bool) -> bool = match self {
            Self::Logical(combine) => combine,
            Self::Equality => |a, b| a == b,
            _ => return None,
        };
        left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Bool)
    }

    fn of_one(self, content: &Content) -> Option<Content> {
        match (self, content) {
            (Self::Unary(f, _), Content::Int(array)) => Some(Content::Int(array.map(|x| f(*x)))),
            (Self::Unary(_, f) | Self::Function(f), Content::Float(array)) => {
                Some(Content::Float(array.map(|x| f(*x))))
            }
            (Self::Negation, Content::Bool(array)) => Some(Content::Bool(array.map(|value| !value))),
            _ => None,
        }
    }

    fn relation(self) -> Option<fn(Ordering) -> bool> {
        match self {
            Self::Relation(holds) => Some(holds),
            Self::Equality => Some(Ordering::is_eq),
            _ => None,
        }
    }
}

/// `Mod`: of integers the remainder that is not negative, or with `fmod` that of C.
pub(crate) fn modulo(view: &NodeView, dims: &[usize]) -> Option<Content> {
    if view.int("fmod", 0) == Ok(1) {
        return Elementwise::FMOD.evaluate(view, dims);
    }
    match (&*view.content(0)?, view.content(1).as_deref()) {
        (Content::Int(left), Some(Content::Int(right))) => left
            .zip(right, dims, |a, b| known(*a, *b, |a, b| a.checked_rem_euclid(b).filter(|_| b > 0)))
            .map(Content::Int),
        _ => None,
    }
}

/// `Cast`
pub(crate) fn cast(view: &NodeView, to: DataType) -> Option<Content> {
    let content = view.content(0)?;
    match (&*content, to) {
        (Content::Int(_), DataType::Int64)
        | (Content::Bool(_), DataType::Bool)
        | (Content::Float(_), DataType::Float32 | DataType::Float64) => Some(content.into_owned()),
        (Content::Int(array), DataType::Int32) => {
            let fits = |symbol: &Symbol| symbol.int().is_none_or(|value| i32::try_from(value).is_ok());
            array.elements().iter().all(fits).then(|| content.clone().into_owned())
        }
        (Content::Int(array), DataType::Float32 | DataType::Float64) => {
            let values: Option<Vec<f64>> =
                array.elements().iter().map(|symbol| Some(symbol.int()? as f64)).collect();
            Array::new(array.dims().to_vec(), values?).map(Content::Float)
        }
        (Content::Float(array), DataType::Int64) => {
            // Out of range is undefined in ONNX: left to the run time.
            let whole = |value: &f64| (value.abs() < 9e15).then_some(Symbol::Int(*value as i64));
            let values: Option<Vec<Symbol>> = array.elements().iter().map(whole).collect();
            Array::new(array.dims().to_vec(), values?).map(Content::Int)
        }
        (Content::Int(array), DataType::Bool) => {
            let truths: Option<Vec<bool>> =
                array.elements().iter().map(|symbol| Some(symbol.int()? != 0)).collect();
            Array::new(array.dims().to_vec(), truths?).map(Content::Bool)
        }
        (Content::Bool(array), DataType::Int64) => {
            Some(Content::Int(array.map(|value| Symbol::Int((*value).into()))))
        }
        (Content::Bool(array), DataType::Float32 | DataType::Float64) => {
            Some(Content::Float(array.map(|value| f64::from(u8::from(*value)))))
        }
        _ => None,
    }
}

/// `Clip`: exporters write SAME padding with it.
pub(crate) fn clip(view: &NodeView, _: &[usize]) -> Option<Content> {
    let bound = |index: usize| match view.content(index).as_deref() {
        Some(Content::Float(array)) => Some(array.elements().first().copied()),
        // Left out, or not known.
        _ => (!view.has(index)).then_some(None),
    };
    let (low, high) = (bound(1)?, bound(2)?);
    let Content::Float(array) = &*view.content(0)? else { return None };
    let clipped = |x: &f64| {
        let raised = low.filter(|low| *x < *low).unwrap_or(*x);
        high.filter(|high| raised > *high).unwrap_or(raised)
    };
    Some(Content::Float(array.map(clipped)))
}

fn known(a: Symbol, b: Symbol, f: impl Fn(i64, i64) -> Option<i64>) -> Symbol {
    match (a, b) {
        (Symbol::Int(a), Symbol::Int(b)) => f(a, b).map_or(Symbol::Unknown, Symbol::Int),
        _ => Symbol::Unknown,
    }
}

/// Order of two symbols for every batch size `N ≥ 1`, where there is one.
fn compare(a: Symbol, b: Symbol) -> Option<Ordering> {
    match (a, b) {
        (Symbol::Int(a), Symbol::Int(b)) | (Symbol::Batch(a), Symbol::Batch(b)) => Some(a.cmp(&b)),
        (Symbol::Batch(k), Symbol::Int(value)) if k > 0 && value < k => Some(Ordering::Greater),
        (Symbol::Int(value), Symbol::Batch(k)) if k > 0 && value < k => Some(Ordering::Less),
        _ => None,
    }
}
