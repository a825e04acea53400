//! Where the scores of the classes lie in a tensor: one value a class and image, other axes of length one.

use crate::graph::{Dim, Shape};

/// The axis of the `classes` scores of each image, where a tensor holds nothing else: `[N, K]`, `[N, K, 1, 1]`,
/// `[N, 1, K]`. The images of a batch come before the classes; a batch of one may have no axis.
pub(super) fn class_axis(shape: &Shape, batch: Dim, classes: usize) -> Option<usize> {
    let longer: Vec<usize> = (0..shape.rank()).filter(|axis| shape.0[*axis] != Dim::Fixed(1)).collect();
    let axis = match (batch, &*longer) {
        (Dim::Fixed(1), &[axis]) => axis,
        (_, &[images, axis]) if shape.0[images] == batch => axis,
        _ => return None,
    };
    (shape.0[axis] == Dim::Fixed(classes)).then_some(axis)
}

/// The number of classes of an output whose first axis is the batch, and the axis before which a Flatten must split it to
/// make `[batch, K]` of it, where it has other axes than the two. The output for one image may have no axis of a batch.
pub(super) fn classes_of_output(shape: &Shape, batch: Dim) -> Option<(usize, Option<usize>)> {
    let (first, rest) = shape.0.split_first()?;
    let (axes, split) = match (batch, first) {
        (Dim::Fixed(1), Dim::Fixed(2..)) => (&shape.0[..], 0),
        _ if *first == batch => (rest, 1),
        _ => return None,
    };
    let mut longer = axes.iter().filter(|dim| **dim != Dim::Fixed(1));
    match (longer.next(), longer.next()) {
        (Some(Dim::Fixed(classes @ 2..)), None) => {
            Some((*classes, (split == 0 || shape.rank() > 2).then_some(split)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[test]
    fn scores_may_have_axes_of_length_one() {
        let cases = [
            ("f32[N,5]", Some(1), Some((5, None))),
            ("f32[N,5,1,1]", Some(1), Some((5, Some(1)))),
            ("f32[N,1,1,5]", Some(3), Some((5, Some(1)))),
            ("f32[5]", None, None),
            ("f32[1,N,5]", Some(2), None),
            ("f32[5,N]", None, None),
            ("f32[N,5,2]", None, None),
            ("f32[N,1]", None, None),
            ("f32[N]", None, None),
        ];
        for (text, axis, output) in cases {
            let shape = parse(text).shape;
            assert_eq!(class_axis(&shape, Dim::N, 5), axis, "{text}");
            assert_eq!(classes_of_output(&shape, Dim::N), output, "{text}");
        }
    }

    #[test]
    fn a_batch_of_one_may_have_no_axis() {
        let cases = [
            ("f32[5]", Some(0), Some((5, Some(0)))),
            ("f32[1,5]", Some(1), Some((5, None))),
            ("f32[5,1]", Some(0), Some((5, Some(0)))),
            ("f32[1,1,5]", Some(2), Some((5, Some(1)))),
            ("f32[5,5]", None, None),
            ("f32[1]", None, None),
        ];
        for (text, axis, output) in cases {
            let shape = parse(text).shape;
            assert_eq!(class_axis(&shape, Dim::Fixed(1), 5), axis, "{text}");
            assert_eq!(classes_of_output(&shape, Dim::Fixed(1)), output, "{text}");
        }
    }
}
