//! The geometry that convolutions and poolings share: windows that slide over spatial axes.

use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed};
use crate::graph::Dim;

/// Sizes, pads, strides and dilations beyond this are not those of an image, and sums of them could overflow.
const LARGEST: u64 = 1 << 30;

/// What happens where the last window does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// It is left out.
    Floor,
    /// It hangs over the edge.
    Ceil,
}

/// `auto_pad`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// As `pads` says.
    Explicit,
    /// So that the output has `ceil(input / stride)` elements.
    Same,
    /// None.
    Valid,
}

/// Windows over the spatial axes, in axis order.
#[derive(Debug)]
pub(super) struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// All begins, then all ends.
    pads: Vec<i64>,
    padding: Padding,
}

impl Windows {
    /// Reads and checks the attributes of a node whose windows have the size `kernel`.
    pub(crate) fn new(view: &NodeView, kernel: Vec<usize>) -> Result<Self> {
        let padding = match view.node.attributes.text("auto_pad", "NOTSET")? {
            "NOTSET" => Padding::Explicit,
            "SAME_UPPER" | "SAME_LOWER" => Padding::Same,
            "VALID" => Padding::Valid,
            other => return Err(Error::format(format!("attribute `auto_pad` is `{other}`"))),
        };
        let axes = kernel.len();
        let pads = match view.node.attributes.ints("pads")? {
            Some(pads) if padding == Padding::Explicit => pads.to_vec(),
            _ => vec![0; 2 * axes],
        };
        if pads.len() != 2 * axes {
            return Err(Error::format(format!(
                "attribute `pads` has {} entries, wanted {}",
                pads.len(),
                2 * axes
            )));
        }
        if let Some(pad) = pads.iter().find(|pad| pad.unsigned_abs() > LARGEST) {
            return Err(Error::format(format!("attribute `pads` has {pad}, wanted at most {LARGEST}")));
        }
        if kernel.contains(&0) {
            return Err(Error::format(format!("the window {kernel:?} has a size of 0")));
        }
        let (strides, dilations) = (positive(view, "strides", axes)?, positive(view, "dilations", axes)?);
        Ok(Self { kernel, strides, dilations, pads, padding })
    }

    /// Output sizes of a convolution or pooling over `spatial` axes.
    pub(crate) fn output(&self, spatial: &[Dim], rounding: Rounding) -> Result<Vec<Dim>> {
        self.each(spatial, |axis, input| {
            let stride = self.strides[axis] as i64;
            if self.padding == Padding::Same {
                return Some((input + stride - 1) / stride);
            }
            let (begin, end) = (self.pads[axis], self.pads[axis + self.kernel.len()]);
            let room = input.checked_add(begin)?.checked_add(end)?.checked_sub(self.extent(axis)?)?;
            if room < 0 {
                return None;
            }
            let hangs_over = rounding == Rounding::Ceil && room % stride != 0
                // A window that would start in the padding at the end is left out, as PyTorch does.
                && (room / stride + 1) * stride < input + begin;
            Some(room / stride + 1 + i64::from(hangs_over))
        })
    }

    /// Output sizes of a transposed convolution over `spatial` axes.
    pub(crate) fn transposed_output(&self, spatial: &[Dim], output_padding: &[i64]) -> Result<Vec<Dim>> {
        self.each(spatial, |axis, input| {
            let stride = self.strides[axis] as i64;
            if self.padding == Padding::Same {
                return input.checked_mul(stride);
            }
            let padding = self.pads[axis].checked_add(self.pads[axis + self.kernel.len()])?;
            let strided = input.checked_sub(1)?.checked_mul(stride)?;
            strided.checked_add(output_padding[axis])?.checked_add(self.extent(axis)?)?.checked_sub(padding)
        })
    }

    /// Input elements between the first and the last that a window touches, both counted.
    fn extent(&self, axis: usize) -> Option<i64> {
        let gaps = self.kernel[axis].checked_sub(1)?.checked_mul(self.dilations[axis])?;
        i64::try_from(gaps).ok()?.checked_add(1)
    }

    fn each(&self, spatial: &[Dim], size: impl Fn(usize, i64) -> Option<i64>) -> Result<Vec<Dim>> {
        if spatial.len() != self.kernel.len() {
            return Err(Error::shape(format!(
                "the input has {} spatial axes, the window {:?} has {}",
                spatial.len(),
                self.kernel,
                self.kernel.len()
            )));
        }
        let sized = |(axis, dim): (usize, &Dim)| {
            let input = fixed(*dim, "a spatial size")?;
            let output = i64::try_from(input)
                .ok()
                .filter(|input| *input <= LARGEST as i64)
                .and_then(|input| size(axis, input));
            let output = output.and_then(|output| usize::try_from(output).ok()).filter(|output| *output > 0);
            output.map(Dim::Fixed).ok_or_else(|| {
                Error::shape(format!(
                    "the window {:?} does not fit into {input} elements of axis {axis}",
                    self.kernel
                ))
            })
        };
        spatial.iter().enumerate().map(sized).collect()
    }
}

/// An `INTS` attribute of one positive number for each axis, by default ones.
fn positive(view: &NodeView, name: &str, axes: usize) -> Result<Vec<usize>> {
    let Some(values) = view.node.attributes.ints(name)? else { return Ok(vec![1; axes]) };
    let sizes: Option<Vec<usize>> = values
        .iter()
        .map(|value| usize::try_from(*value).ok().filter(|size| (1..=LARGEST as usize).contains(size)))
        .collect();
    sizes.filter(|sizes| sizes.len() == axes).ok_or_else(|| {
        Error::format(format!("attribute `{name}` is {values:?}, wanted {axes} positive numbers"))
    })
}

/// `kernel_shape`, where the node has it.
pub(crate) fn kernel_shape(view: &NodeView) -> Result<Option<Vec<usize>>> {
    match view.node.attributes.ints("kernel_shape")? {
        Some(values) => positive(view, "kernel_shape", values.len()).map(Some),
        None => Ok(None),
    }
}
