//! What a gate requires of the attacked accuracy.

use crate::statistics::fraction;

/// The least attacked accuracy that a gate accepts, a fraction in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinAttackedAccuracy(f64);

impl MinAttackedAccuracy {
    /// A requirement, or `None` where `fraction` is not in `[0, 1]` (40 % is `0.40`).
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }

    /// The requirement as a fraction in `[0, 1]`.
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// The fewest robust images of so many that meet the requirement.
    pub fn robust_images_needed(self, images: usize) -> usize {
        let Self(least) = self;
        let guess = (least * images as f64).ceil() as usize;
        // The product may round to the wrong side of a whole number.
        let candidates = guess.saturating_sub(1)..=guess.min(images);
        candidates.into_iter().find(|robust| fraction(*robust, images) >= least).unwrap_or(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_images_are_the_fewest_that_pass() {
        for images in [1, 3, 7, 500, 10_000] {
            for robust in 0..=images.min(700) {
                let exact = fraction(robust, images);
                let least = MinAttackedAccuracy::new(exact).unwrap();
                assert_eq!(least.robust_images_needed(images), robust, "{robust} of {images}");
                if robust < images {
                    let above = MinAttackedAccuracy::new(exact + 1e-9).unwrap();
                    assert_eq!(above.robust_images_needed(images), robust + 1, "{robust} of {images}");
                }
            }
        }
    }

    #[test]
    fn requirements_are_fractions() {
        assert!([0.0, 0.4, 1.0].into_iter().all(|fraction| MinAttackedAccuracy::new(fraction).is_some()));
        assert!(
            [-0.1, 1.1, 40.0, f64::NAN]
                .into_iter()
                .all(|fraction| MinAttackedAccuracy::new(fraction).is_none())
        );
    }
}
