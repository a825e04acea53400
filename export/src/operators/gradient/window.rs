//! The windows that convolutions and poolings slide over spatial axes, for their gradients.

use crate::error::{Error, Result};
use crate::graph::{Node, Shape};

/// One spatial axis: window `o` covers the elements `stride·o + dilation·k − begin` for `k` below `kernel`.
///
/// All numbers have passed shape inference, so that sums and products of them do not overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    /// Elements of the input.
    pub(crate) input: i64,
    /// Number of windows.
    pub(crate) output: i64,
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
    pub(crate) dilation: i64,
    /// Padding before the first element of the input.
    pub(crate) begin: i64,
    /// Padding after the last element. A last window that hangs over (`ceil_mode`) may reach further.
    pub(crate) end: i64,
}

impl Axis {
    /// Elements between the first and the last that a window touches, both counted.
    pub(crate) fn extent(&self) -> i64 {
        self.dilation * (self.kernel - 1) + 1
    }

    /// Elements between the first and the last that all windows touch, both counted.
    pub(crate) fn span(&self) -> i64 {
        (self.output - 1) * self.stride + self.extent()
    }

    /// Element `k` of window `o`; outside of `0 .. input` it lies in the padding.
    pub(crate) fn position(&self, o: i64, k: i64) -> i64 {
        self.stride * o + self.dilation * k - self.begin
    }
}

/// The spatial axes of a node that slides windows of size `kernel` over `x` `[N, C, …]`, with the result `y`.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when a spatial axis depends on the batch.
pub(crate) fn axes(node: &Node, x: &Shape, kernel: &[usize], y: &Shape) -> Result<Vec<Axis>> {
    let (inputs, outputs) = (spatial(x)?, spatial(y)?);
    let strides = numbers(node, "strides", kernel.len(), 1)?;
    let dilations = numbers(node, "dilations", kernel.len(), 1)?;
    let pads = numbers(node, "pads", 2 * kernel.len(), 0)?;
    let axis = |index: usize| {
        let mut axis = Axis {
            input: inputs[index],
            output: outputs[index],
            kernel: kernel[index] as i64,
            stride: strides[index],
            dilation: dilations[index],
            begin: 0,
            end: 0,
        };
        let same = (axis.span() - axis.input).max(0);
        axis.begin = match node.attributes.text("auto_pad", "NOTSET")? {
            "SAME_UPPER" => same / 2,
            "SAME_LOWER" => same - same / 2,
            "VALID" => 0,
            _ => pads[index],
        };
        axis.end = match node.attributes.text("auto_pad", "NOTSET")? {
            "SAME_UPPER" | "SAME_LOWER" => same - axis.begin,
            "VALID" => 0,
            _ => pads[index + kernel.len()],
        };
        Ok(axis)
    };
    (0..kernel.len()).map(axis).collect()
}

/// `kernel_shape` of a pooling.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) when it is missing or not positive.
pub(crate) fn kernel_shape(node: &Node) -> Result<Vec<usize>> {
    let stated = node.attributes.ints("kernel_shape")?.unwrap_or_default();
    let sizes: Option<Vec<usize>> =
        stated.iter().map(|size| usize::try_from(*size).ok().filter(|size| *size > 0)).collect();
    sizes
        .filter(|sizes| !sizes.is_empty())
        .ok_or_else(|| Error::format(format!("attribute `kernel_shape` is {stated:?}")))
}

/// Sizes of the spatial axes of `[N, C, …]`.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when one of them depends on the batch.
pub(crate) fn spatial(shape: &Shape) -> Result<Vec<i64>> {
    let sizes = shape.0.iter().skip(2).map(|dim| dim.fixed().map(|size| size as i64));
    sizes
        .collect::<Option<_>>()
        .ok_or_else(|| Error::unsupported(format!("a spatial axis of {shape} depends on the batch")))
}

/// An `INTS` attribute of `count` entries.
pub(super) fn numbers(node: &Node, name: &str, count: usize, default: i64) -> Result<Vec<i64>> {
    match node.attributes.ints(name)? {
        Some(values) if values.len() == count => Ok(values.to_vec()),
        Some(values) => {
            Err(Error::format(format!("attribute `{name}` is {values:?}, wanted {count} entries")))
        }
        None => Ok(vec![default; count]),
    }
}
