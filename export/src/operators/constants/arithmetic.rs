//! Arithmetic, comparison and conversion, element by element.

use std::cmp::Ordering;

use crate::facts::{Array, Content, NodeView, Symbol};

use crate::tensor::DataType;

/// Operators of one or two inputs that broadcast to `dims`.
pub(crate) fn elementwise(view: &NodeView, dims: &[usize]) -> Option<Content> {
    let op_type = match view.node.op_type.as_str() {
        "Mod" if view.int("fmod", 0) == Ok(1) => "Fmod",
        op_type => op_type,
    };
    match (&*view.content(0)?, view.content(1).as_deref()) {
        (Content::Int(left), Some(Content::Int(right))) => integers(op_type, left, right, dims),
        (Content::Float(left), Some(Content::Float(right))) => floats(op_type, left, right, dims),
        (Content::Bool(left), Some(Content::Bool(right))) => {
            let combine = boolean(op_type)?;
            left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Bool)
        }
        (Content::Int(array), None) if !view.has(1) => {
            int_function(op_type).map(|f| Content::Int(array.map(|x| f(*x))))
        }
        (Content::Float(array), None) if !view.has(1) => {
            float_function(op_type).map(|f| Content::Float(array.map(|x| f(*x))))
        }
        (Content::Bool(array), None) if op_type == "Not" => Some(Content::Bool(array.map(|value| !value))),
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
pub(crate) fn clip(view: &NodeView) -> Option<Content> {
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

fn integers(op_type: &str, left: &Array<Symbol>, right: &Array<Symbol>, dims: &[usize]) -> Option<Content> {
    if let Some(holds) = relation(op_type) {
        let compared = left.zip(right, dims, |a, b| compare(*a, *b).map(holds))?;
        let known: Option<Vec<bool>> = compared.elements().iter().copied().collect();
        return Array::new(dims.to_vec(), known?).map(Content::Bool);
    }
    let combine: fn(Symbol, Symbol) -> Symbol = match op_type {
        "Add" => Symbol::plus,
        "Sub" => |a, b| a.plus(b.negated()),
        "Mul" => Symbol::times,
        "Div" => Symbol::divided_by,
        "Mod" => |a, b| known(a, b, |a, b| a.checked_rem_euclid(b).filter(|_| b > 0)),
        "Fmod" => |a, b| known(a, b, i64::checked_rem),
        "Min" => |a, b| known(a, b, |a, b| Some(a.min(b))),
        "Max" => |a, b| known(a, b, |a, b| Some(a.max(b))),
        "Pow" => |a, b| known(a, b, |a, b| a.checked_pow(u32::try_from(b).ok()?)),
        _ => return None,
    };
    left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Int)
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

fn relation(op_type: &str) -> Option<fn(Ordering) -> bool> {
    Some(match op_type {
        "Equal" => Ordering::is_eq,
        "Less" => Ordering::is_lt,
        "LessOrEqual" => Ordering::is_le,
        "Greater" => Ordering::is_gt,
        "GreaterOrEqual" => Ordering::is_ge,
        _ => return None,
    })
}

fn floats(op_type: &str, left: &Array<f64>, right: &Array<f64>, dims: &[usize]) -> Option<Content> {
    if let Some(holds) = relation(op_type) {
        let compared = left.zip(right, dims, |a, b| a.partial_cmp(b).is_some_and(holds));
        return compared.map(Content::Bool);
    }
    let combine: fn(f64, f64) -> f64 = match op_type {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f64::powf,
        "Fmod" => |a, b| a % b,
        "Min" => |a, b| if a.is_nan() || a < b { a } else { b },
        "Max" => |a, b| if a.is_nan() || a > b { a } else { b },
        _ => return None,
    };
    left.zip(right, dims, |a, b| combine(*a, *b)).map(Content::Float)
}

fn boolean(op_type: &str) -> Option<fn(bool, bool) -> bool> {
    Some(match op_type {
        "And" => |a, b| a && b,
        "Or" => |a, b| a || b,
        "Xor" => |a, b| a != b,
        "Equal" => |a, b| a == b,
        _ => return None,
    })
}

fn int_function(op_type: &str) -> Option<fn(Symbol) -> Symbol> {
    Some(match op_type {
        "Neg" => Symbol::negated,
        "Abs" => |symbol| symbol.int().and_then(i64::checked_abs).map_or(Symbol::Unknown, Symbol::Int),
        _ => return None,
    })
}

fn float_function(op_type: &str) -> Option<fn(f64) -> f64> {
    Some(match op_type {
        "Neg" => |x| -x,
        "Abs" => f64::abs,
        "Sqrt" => f64::sqrt,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Floor" => f64::floor,
        "Ceil" => f64::ceil,
        "Reciprocal" => |x| 1.0 / x,
        _ => return None,
    })
}
