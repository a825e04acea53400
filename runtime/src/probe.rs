//! Questions about a model that only running it answers, asked of the first images of the set.

use mimir_bundle::OutputKind;

use crate::error::EvaluateError;
use crate::evaluation_set::{EvaluationSet, SetError};
use crate::logits::predicted_class;
use crate::model::{Batches, Classifier};
use crate::statistics::by_guessing;

/// Slack of "is a probability", as in AutoAttack's own check.
const PROBABILITY_SLACK: f32 = 1e-5;

/// How far logits of a re-batched model may be from those of the file, relative to the largest logit of the image.
/// Rounding gives about 10⁻⁶; images that mix give far more.
const SAME_LOGITS: f32 = 1e-4;

/// Images on which logits of a quantised file and its copy are compared, at most.
const COMPARED: usize = 64;

/// Whether the model returns probabilities: every row of the first batch that means a class lies in
/// `[0, 1]` and sums to one.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn output_kind(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<OutputKind, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let images = first_images(set, batches.size())?;
    let logits = batches.logits(classifier, images.iter().map(Vec::as_slice))?;
    let mut rows = logits.rows().into_iter().map(|row| row.to_slice().unwrap_or_default());
    // A row that means no class says nothing; the evaluation reports its image.
    let mut finite = rows.by_ref().filter(|row| predicted_class(row).is_some()).peekable();
    let is_known = finite.peek().is_some();
    let all_probabilities = is_known && finite.all(is_distribution);
    Ok(if all_probabilities { OutputKind::Probabilities } else { OutputKind::Logits })
}

/// Fewest images whose order says something.
const FEWEST_SORTED: usize = 4;

/// Most likely order by chance that says something. Of images whose largest score is that of one class, the scores of
/// the other `K − 1` are in one order with the probability `1/(K − 1)!` each: of 4 images for 4 classes, of 10 for 3.
const BY_CHANCE: f64 = 1e-3;

/// The number of first images whose scores all fall, or all rise, from class to class, where that is so of each and the
/// images do not all get the same scores; `None` otherwise.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn sorted_scores(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<Option<usize>, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let images = first_images(set, batches.size())?;
    let few = images.len() < FEWEST_SORTED || by_chance(classifier.classes(), images.len()) > BY_CHANCE;
    let logits = batches.logits(classifier, images.iter().map(Vec::as_slice))?;
    let rows: Vec<&[f32]> = logits.rows().into_iter().map(|row| row.to_slice().unwrap_or_default()).collect();
    let all = |in_order: fn(f32, f32) -> bool| {
        rows.iter()
            .all(|row| row.windows(2).all(|pair| in_order(pair[0], pair[1])) && row.first() != row.last())
    };
    let is_sorted =
        !few && rows.iter().any(|row| *row != rows[0]) && (all(|a, b| a >= b) || all(|a, b| a <= b));
    Ok(is_sorted.then_some(rows.len()))
}

/// The probability that the classes behind the first one have one order in so many images.
fn by_chance(classes: usize, images: usize) -> f64 {
    let orders: f64 = (1..classes).map(|class| class as f64).product();
    orders.powf(-(images as f64))
}

/// The pixels of the first images of the set, at most so many.
fn first_images(set: &EvaluationSet, most: usize) -> Result<Vec<Vec<f32>>, SetError> {
    (0..set.count().min(most)).map(|image| read(set, image)).collect()
}

/// How many of so many images, spread evenly over the set, the model classifies correctly; and how many it was asked
/// about: at most `most`.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn correct_of_some(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    most: usize,
) -> Result<Sampled, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let count = set.count().min(most);
    let chosen: Vec<usize> = (0..count).map(|position| position * set.count() / count).collect();
    let (mut correct, mut non_finite) = (0, 0);
    for part in chosen.chunks(batches.size()) {
        let images = part.iter().map(|image| read(set, *image)).collect::<Result<Vec<_>, _>>()?;
        let logits = batches.logits(classifier, images.iter().map(Vec::as_slice))?;
        for (row, image) in logits.rows().into_iter().zip(part) {
            let row = row.to_slice().unwrap_or_default();
            let class = predicted_class(row);
            correct += usize::from(class == Some(set.labels()[*image]));
            non_finite += usize::from(class.is_none());
        }
    }
    let by_guessing = by_guessing(chosen.iter().map(|image| set.labels()[*image]), classifier.classes());
    Ok(Sampled { correct, classified: count, non_finite, by_guessing })
}

/// What a model says about some images of a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Images classified correctly.
    pub correct: usize,
    /// Images that were classified.
    pub classified: usize,
    /// Images whose logits mean no class.
    pub non_finite: usize,
    /// The share that [guessing](by_guessing) is right on.
    pub by_guessing: f64,
}

fn read(set: &EvaluationSet, image: usize) -> Result<Vec<f32>, SetError> {
    let mut pixels = vec![0.0; set.pixels_per_image()];
    set.read(image, &mut pixels).map(|()| pixels)
}

fn is_distribution(row: &[f32]) -> bool {
    let range = -PROBABILITY_SLACK..=1.0 + PROBABILITY_SLACK;
    let sum: f32 = row.iter().sum();
    row.iter().all(|value| range.contains(value)) && (sum - 1.0).abs() <= PROBABILITY_SLACK
}

/// Whether a re-batched model says about each image of its first batch what the model of the file, which takes one
/// image, says about it alone: the same class, and logits equal up to rounding.
///
/// # Errors
/// When the engine fails or an image cannot be read.
///
/// # Panics
/// When the two have another number of classes.
pub fn same_logits(
    one_by_one: &mut dyn Classifier,
    rebatched: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<bool, EvaluateError> {
    assert_eq!(one_by_one.classes(), rebatched.classes());
    let (mut singles, mut batches) =
        (Batches::for_classifier(one_by_one), Batches::for_classifier(rebatched));
    let images = first_images(set, batches.size())?;
    let together = batches.logits(rebatched, images.iter().map(Vec::as_slice))?;
    for (image, row) in images.iter().zip(together.rows()) {
        let alone = singles.logits(one_by_one, std::iter::once(image.as_slice()))?;
        let (alone, row) = (alone.row(0), row.as_slice().unwrap_or_default());
        if !agree(alone.as_slice().unwrap_or_default(), row) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a model that takes full batches only says of each image among others what it says of it alone, which is among
/// copies of itself. Where there are too few images, negatives of them stand beside them.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn rows_are_independent(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<bool, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let mut images = first_images(set, batches.size())?;
    for index in 0..batches.size().saturating_sub(images.len()) {
        let negative = images[index].iter().map(|pixel| 1.0 - pixel).collect();
        images.push(negative);
    }
    let together = batches.logits(classifier, images.iter().map(Vec::as_slice))?.to_owned();
    for (image, row) in images.iter().zip(together.rows()) {
        let alone = batches.logits(classifier, std::iter::repeat_n(image.as_slice(), batches.size()))?;
        let (alone, row) = (alone.row(0), row.as_slice().unwrap_or_default());
        if !agree(alone.as_slice().unwrap_or_default(), row) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How far the logits of two forms of a model are apart on the images of a first batch: the length of the difference
/// over the length of the second's logits, both over all images and less the mean of each image's logits. 0 where
/// nothing finite can be compared.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn relative_difference(
    first: &mut dyn Classifier,
    second: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<f64, EvaluateError> {
    let mut batches = Batches::for_classifier(first);
    let images = first_images(set, COMPARED)?;
    let (mut distance, mut length) = (0.0, 0.0);
    for chunk in images.chunks(batches.size()) {
        let rows = || chunk.iter().map(Vec::as_slice);
        let one = batches.logits(first, rows())?.to_owned();
        let other = batches.logits(second, rows())?;
        for (one, other) in one.rows().into_iter().zip(other.rows()) {
            let (one, other) = (centred(one.iter()), centred(other.iter()));
            if one.iter().chain(&other).all(|logit| logit.is_finite()) {
                distance += one.iter().zip(&other).map(|(one, other)| (one - other).powi(2)).sum::<f64>();
                length += other.iter().map(|logit| logit.powi(2)).sum::<f64>();
            }
        }
    }
    Ok(if length > 0.0 { (distance / length).sqrt() } else { 0.0 })
}

/// Logits less their mean.
fn centred<'l>(logits: impl ExactSizeIterator<Item = &'l f32> + Clone) -> Vec<f64> {
    let mean = logits.clone().map(|logit| f64::from(*logit)).sum::<f64>() / logits.len().max(1) as f64;
    logits.map(|logit| f64::from(*logit) - mean).collect()
}

/// Whether logits of one image are equal up to rounding, and of one class. An infinity agrees with itself. So does NaN: an image that gives it in both is reported by the evaluation.
pub(crate) fn agree(left: &[f32], right: &[f32]) -> bool {
    let sizes = left.iter().map(|value| value.abs()).filter(|size| size.is_finite());
    let scale = sizes.fold(0.0, f32::max);
    let close = |left: f32, right: f32| {
        let same = left == right || (left.is_nan() && right.is_nan());
        same || (left - right).abs() <= SAME_LOGITS * scale
    };
    let all_close = left.iter().zip(right).all(|(left, right)| close(*left, *right));
    all_close && predicted_class(left) == predicted_class(right)
}

#[cfg(test)]
mod tests {
    use mimir_bundle::ImageShape;
    use ndarray::{Array2, ArrayView2, Axis, array};

    use super::*;
    use crate::model::ModelError;

    /// Returns its images as logits, each row plus a share of the row above.
    struct Echo {
        batch: usize,
        leak: f32,
        logits: Array2<f32>,
    }

    impl Echo {
        fn new(batch: usize, leak: f32) -> Self {
            Self { batch, leak, logits: Array2::zeros((batch, 2)) }
        }
    }

    impl Classifier for Echo {
        fn image_shape(&self) -> ImageShape {
            ImageShape { channels: 1, height: 1, width: 2 }
        }

        fn classes(&self) -> usize {
            2
        }

        fn batch(&self) -> usize {
            self.batch
        }

        fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
            self.logits.assign(&images);
            for row in 1..self.batch {
                let above = &images.index_axis(Axis(0), row - 1) * self.leak;
                let mut row = self.logits.row_mut(row);
                row += &above;
            }
            Ok(&self.logits)
        }
    }

    fn kind(images: &Array2<f32>) -> OutputKind {
        let labels = vec![0; images.nrows()];
        let set = EvaluationSet::new(images, &labels).unwrap();
        output_kind(&mut Echo::new(2, 0.0), &set).unwrap()
    }

    #[test]
    fn rows_that_sum_to_one_are_probabilities() {
        assert_eq!(kind(&array![[0.25, 0.75], [1.0, 0.0]]), OutputKind::Probabilities);
        assert_eq!(kind(&array![[0.25, 0.75], [0.5, 0.75]]), OutputKind::Logits);
        // Padding is not looked at.
        assert_eq!(kind(&array![[0.25, 0.75]]), OutputKind::Probabilities);
    }

    #[test]
    fn rows_that_depend_on_their_neighbours_are_seen() {
        for count in [1, 3] {
            let images =
                array![[0.25_f32, 0.75], [0.5, 0.25], [0.1, 0.9]].slice_move(ndarray::s![..count, ..]);
            let labels = vec![0; count];
            let set = EvaluationSet::new(&images, &labels).unwrap();
            for (leak, independent) in [(0.0, true), (0.01, false)] {
                let found = rows_are_independent(&mut Echo::new(3, leak), &set);
                assert_eq!(found, Ok(independent), "{count} images, {leak}");
            }
        }
    }

    #[test]
    fn infinities_and_nan_agree_with_themselves_only() {
        const LOST: f32 = f32::NEG_INFINITY;
        let table: [(&[f32], &[f32], bool); 5] = [
            (&[1.0, LOST], &[1.0, LOST], true),
            (&[1.0, LOST], &[1.0, -1.0], false),
            (&[f32::NAN, 1.0], &[f32::NAN, 1.0], true),
            (&[f32::NAN, 1.0], &[0.0, 1.0], false),
            (&[LOST, 1e-7], &[LOST, 0.0], false),
        ];
        for (left, right, same) in table {
            assert_eq!(agree(left, right), same, "{left:?} {right:?}");
            assert_eq!(agree(right, left), same, "{right:?} {left:?}");
        }
    }

    #[test]
    fn scores_that_are_always_in_the_order_of_the_classes_are_seen() {
        let sorted = |images: Array2<f32>| {
            let labels = vec![0; images.nrows()];
            let set = EvaluationSet::new(&images, &labels).unwrap();
            sorted_scores(&mut Wide(Array2::zeros(images.dim())), &set).unwrap()
        };
        let falling =
            array![[0.9, 0.5, 0.5, 0.1], [0.8, 0.3, 0.2, 0.1], [0.7, 0.6, 0.5, 0.4], [0.4, 0.3, 0.2, 0.0]];
        assert_eq!(sorted(falling.clone()), Some(4));
        assert_eq!(sorted(1.0 - &falling), Some(4));
        let mut other = falling.clone();
        other[[2, 3]] = 1.0;
        assert_eq!(sorted(other), None);
        // A model that always says the same, and too few images.
        assert_eq!(sorted(Array2::from_shape_fn((4, 4), |(_, class)| 1.0 - 0.1 * class as f32)), None);
        assert_eq!(sorted(falling.slice(ndarray::s![..3, ..]).to_owned()), None);
        // Three classes in one order say something of ten images, two never do.
        let classes = |images: usize, classes: usize| {
            Array2::from_shape_fn((images, classes), |(image, class)| {
                1.0 - 0.1 * class as f32 - 0.01 * image as f32
            })
        };
        assert_eq!(sorted(classes(10, 3)), Some(10));
        assert_eq!(sorted(classes(9, 3)), None);
        assert_eq!(sorted(classes(60, 2)), None);
    }

    /// Returns the pixels of its images as logits.
    struct Wide(Array2<f32>);

    impl Classifier for Wide {
        fn image_shape(&self) -> ImageShape {
            ImageShape { channels: 1, height: 1, width: self.0.ncols() }
        }

        fn classes(&self) -> usize {
            self.0.ncols()
        }

        fn batch(&self) -> usize {
            self.0.nrows()
        }

        fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
            self.0 = images.to_owned();
            Ok(&self.0)
        }
    }

    #[test]
    fn images_that_mix_are_seen() {
        let images = array![[0.25_f32, 0.75], [0.5, 0.25], [0.1, 0.9]];
        let set = EvaluationSet::new(&images, &[0, 0, 0]).unwrap();
        for (leak, same) in [(0.0, true), (1e-6, true), (0.01, false)] {
            let mut rebatched = Echo::new(2, leak);
            assert_eq!(same_logits(&mut Echo::new(1, 0.0), &mut rebatched, &set), Ok(same), "{leak}");
        }
    }
}
