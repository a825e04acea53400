//! Part of a set of images, drawn so that its classes are mixed as in the whole.

use std::collections::BTreeMap;

use crate::random::{Key, Stream};

/// So many images, drawn by a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Images drawn, at least 1.
    pub count: usize,
    /// Key of the draw.
    pub seed: u64,
}

impl Sample {
    /// The rule in words, for records.
    pub const METHOD: &'static str = "stratified by class: of each class its share of the images, rounded down or up (up \
        for the largest remainders, ties drawn), drawn without replacement, in file order";

    /// Which images are drawn, in their order; all where there are not more.
    pub fn draw(self, labels: &[usize]) -> Vec<usize> {
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (image, label) in labels.iter().enumerate() {
            classes.entry(*label).or_default().push(image);
        }
        let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
        let mut stream = Stream::new(&Key { seed: self.seed, epoch: 0, sample: 0, purpose: "shares" });
        let shares = shares(self.count.min(labels.len()), &sizes, &mut stream);
        let mut drawn = Vec::with_capacity(self.count.min(labels.len()));
        for ((label, images), share) in classes.iter().zip(shares) {
            // Keyed by the class: its images do not depend on those of others.
            let key = Key { seed: self.seed, epoch: 0, sample: *label as u64, purpose: "drawn" };
            drawn.extend(some_of(images, share, &mut Stream::new(&key)));
        }
        drawn.sort_unstable();
        drawn
    }
}

/// How many of `count` images each class gets: its share, rounded down, and one more for the largest remainders.
fn shares(count: usize, sizes: &[usize], stream: &mut Stream) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let exact = |size: usize| count as u128 * size as u128;
    let mut shares: Vec<usize> =
        sizes.iter().map(|size| (exact(*size) / total.max(1) as u128) as usize).collect();
    let left = count - shares.iter().sum::<usize>();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    shuffle(&mut order, stream);
    // Stable: equal remainders stay in the order that was drawn.
    order.sort_by_key(|class| std::cmp::Reverse(exact(sizes[*class]) % total.max(1) as u128));
    for class in order.into_iter().take(left) {
        shares[class] += 1;
    }
    shares
}

fn some_of(images: &[usize], count: usize, stream: &mut Stream) -> Vec<usize> {
    let mut images = images.to_vec();
    shuffle(&mut images, stream);
    images.truncate(count);
    images
}

/// Fisher–Yates.
fn shuffle(values: &mut [usize], stream: &mut Stream) {
    for last in (1..values.len()).rev() {
        values.swap(last, stream.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Images of each class among those drawn.
    fn mix(labels: &[usize], drawn: &[usize]) -> BTreeMap<usize, usize> {
        let mut mix = BTreeMap::new();
        for image in drawn {
            *mix.entry(labels[*image]).or_default() += 1;
        }
        mix
    }

    #[test]
    fn a_sorted_set_gives_every_class() {
        let labels: Vec<usize> = (0..1200).map(|image| image / 100).collect();
        let drawn = Sample { count: 60, seed: 0 }.draw(&labels);
        assert_eq!(mix(&labels, &drawn), (0..12).map(|class| (class, 5)).collect());
        // Fewer images than classes: no class twice.
        let drawn = Sample { count: 6, seed: 0 }.draw(&labels);
        assert!(mix(&labels, &drawn).values().all(|count| *count == 1));
    }

    #[test]
    fn seeds_draw_other_images_and_the_same_seed_the_same() {
        let labels: Vec<usize> = (0..300).map(|image| image % 3).collect();
        let draw = |seed| Sample { count: 30, seed }.draw(&labels);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    proptest! {
        #[test]
        fn shares_are_within_one_of_the_whole(labels in prop::collection::vec(0_usize..7, 1..200), count in 1_usize..220, seed: u64) {
            let drawn = Sample { count, seed }.draw(&labels);
            prop_assert_eq!(drawn.len(), count.min(labels.len()));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b));
            let all: Vec<usize> = (0..labels.len()).collect();
            let (whole, part) = (mix(&labels, &all), mix(&labels, &drawn));
            for (class, size) in whole {
                let exact = drawn.len() as f64 * size as f64 / labels.len() as f64;
                let found = part.get(&class).copied().unwrap_or_default() as f64;
                prop_assert!((found - exact).abs() < 1.0, "{class}: {found} for {exact}");
            }
        }
    }
}
