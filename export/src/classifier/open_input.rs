//! Inputs whose height and width the file leaves open: the images fix them.
//!
//! The sizes are then those of every graph, the original's included, so that everything after sees numbers.

use std::collections::HashMap;

use mimir_bundle::{ImageShape, Layout};

use super::input_spec::InputSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{DeclaredDim, Dim, InputType, Shape, TensorType};
use crate::tensor::checked_elements;

/// The type of an input once its open dimensions are those of the images.
///
/// # Errors
/// [`NotAClassifier`](crate::ErrorKind::NotAClassifier) where the images are not known, do not fit what the file
/// states, or fit it in two ways; the message names both.
pub(super) fn close(declared: &InputType, spec: &InputSpec) -> Result<TensorType> {
    let Some(image) = spec.image else {
        return Err(not_a_classifier(format!(
            "the input is {declared}, and its sizes depend on the images: give these, or --input-shape C,H,W"
        )));
    };
    let dims = closed_dims(declared, spec.layout, image)?;
    Ok(TensorType { dtype: declared.dtype, shape: Shape(dims) })
}

fn closed_dims(declared: &InputType, told: Option<Layout>, image: ImageShape) -> Result<Vec<Dim>> {
    let misfit = || {
        not_a_classifier(format!(
            "the input is {declared}, which images of {image} (channels, height, width) do not fit: give the shape of \
             one image, or images of another size",
            image = shown(image)
        ))
    };
    let Some(dims) = &declared.dims else {
        let layout = told.ok_or_else(|| {
            not_a_classifier("the file does not state the shape of its input: give its layout".to_owned())
        })?;
        return Ok(with_batch(Dim::N, &sizes(layout, image)));
    };
    let (batch, rest) = match dims.split_first() {
        Some((DeclaredDim::Known(batch), rest)) => (*batch, rest),
        _ => return Err(misfit()),
    };
    let fitting: Vec<Vec<usize>> = candidates(rest.len(), told)
        .filter_map(|layout| match layout {
            Layout::Flat => flat_sizes(rest, image),
            other => Some(sizes(other, image)).filter(|sizes| fits(rest, sizes)),
        })
        .collect();
    match &fitting[..] {
        [] => Err(misfit()),
        [first, others @ ..] if others.iter().all(|other| other == first) => Ok(with_batch(batch, first)),
        _ => Err(not_a_classifier(format!(
            "the input is {declared}, from which the position of the channels is not clear: give --layout nchw or \
             --layout nhwc"
        ))),
    }
}

/// The layouts that an input with so many dimensions after the batch may have.
fn candidates(rank: usize, told: Option<Layout>) -> impl Iterator<Item = Layout> {
    let possible: &[Layout] = if rank == 3 { &[Layout::Nchw, Layout::Nhwc] } else { &[Layout::Flat] };
    let inferred = if told.is_some() { &[] } else { possible };
    told.into_iter().chain(inferred.iter().copied())
}

fn sizes(layout: Layout, image: ImageShape) -> Vec<usize> {
    let ImageShape { channels, height, width } = image;
    match layout {
        Layout::Nchw => vec![channels, height, width],
        Layout::Nhwc => vec![height, width, channels],
        Layout::Flat => vec![image.pixels()],
    }
}

/// Whether the sizes are those that the file states, and equal where it gives them one name.
fn fits(dims: &[DeclaredDim], sizes: &[usize]) -> bool {
    let mut named: HashMap<&str, usize> = HashMap::new();
    dims.len() == sizes.len()
        && dims.iter().zip(sizes).all(|(dim, size)| match dim {
            DeclaredDim::Known(known) => *known == Dim::Fixed(*size),
            DeclaredDim::Open(name) => name.is_empty() || *named.entry(name).or_insert(*size) == *size,
        })
}

/// The sizes of an input that takes the pixels of an image in any shape: only one of them may be open.
fn flat_sizes(dims: &[DeclaredDim], image: ImageShape) -> Option<Vec<usize>> {
    let known: Vec<Option<usize>> = dims
        .iter()
        .map(|dim| match dim {
            DeclaredDim::Known(dim) => dim.fixed(),
            DeclaredDim::Open(_) => None,
        })
        .collect();
    let stated: Vec<usize> = known.iter().copied().flatten().collect();
    let product = checked_elements(&stated).filter(|product| *product > 0)?;
    let is_whole = stated.len() + 1 == dims.len() && image.pixels().is_multiple_of(product);
    is_whole.then(|| known.iter().map(|size| size.unwrap_or(image.pixels() / product)).collect())
}

fn with_batch(batch: Dim, sizes: &[usize]) -> Vec<Dim> {
    std::iter::once(batch).chain(sizes.iter().copied().map(Dim::Fixed)).collect()
}

fn not_a_classifier(message: String) -> Error {
    Error::new(ErrorKind::NotAClassifier, message)
}

/// `3 × 32 × 32`
fn shown(image: ImageShape) -> String {
    format!("{} × {} × {}", image.channels, image.height, image.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType;

    /// `[N, 3, H, W]`
    fn declared(text: &str) -> InputType {
        let dim = |text: &str| match text.trim() {
            "N" => DeclaredDim::Known(Dim::N),
            other => match other.parse() {
                Ok(size) => DeclaredDim::Known(Dim::Fixed(size)),
                Err(_) => DeclaredDim::Open(other.trim_matches('?').to_owned()),
            },
        };
        let dims = text.trim_matches(['[', ']']).split(',').map(dim).collect();
        InputType { dtype: DataType::Float32, dims: Some(dims) }
    }

    #[test]
    fn images_fix_what_the_file_leaves_open() {
        let (rgb, grey) = ([3, 8, 6], [1, 4, 4]);
        let cases = [
            ("[N, 3, H, W]", None, rgb, "[N, 3, 8, 6]"),
            ("[1, 3, ?, ?]", None, rgb, "[1, 3, 8, 6]"),
            ("[N, H, W, 3]", None, rgb, "[N, 8, 6, 3]"),
            ("[N, ?, ?, ?]", Some(Layout::Nchw), rgb, "[N, 3, 8, 6]"),
            ("[N, ?, ?, ?]", Some(Layout::Nhwc), rgb, "[N, 8, 6, 3]"),
            ("[N, 3, S, S]", None, [3, 4, 4], "[N, 3, 4, 4]"),
            ("[N, ?]", None, rgb, "[N, 144]"),
            ("[N, 3, ?]", None, rgb, "[N, 3, 48]"),
            ("[N, 1, ?, 4]", None, grey, "[N, 1, 4, 4]"),
            ("[N, 3, S, S]", None, rgb, "which images of 3 × 8 × 6"),
            ("[N, 1, H, W]", None, rgb, "which images of 3 × 8 × 6"),
            ("[N, 3, 9, W]", None, rgb, "the input is [N, 3, 9, W], which images of 3 × 8 × 6"),
            ("[N, 5, ?]", None, rgb, "which images of 3 × 8 × 6"),
            ("[N, ?, ?, ?]", None, rgb, "the position of the channels is not clear"),
        ];
        for (text, layout, [channels, height, width], wanted) in cases {
            let image = ImageShape { channels, height, width };
            let spec = InputSpec { layout, image: Some(image), ..InputSpec::default() };
            let found = match close(&declared(text), &spec) {
                Ok(closed) => closed.shape.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(wanted), "{text}: {found}, wanted {wanted}");
        }
        let unknown = close(&declared("[N, 3, H, W]"), &InputSpec::default()).unwrap_err();
        assert!(unknown.to_string().contains("depend on the images"), "{unknown}");
    }
}
