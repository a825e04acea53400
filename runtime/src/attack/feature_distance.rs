//! The distance of features from those of the clean image.

/// The features of the clean image, and how far others are from them.
#[derive(Debug, Default)]
pub(super) struct FeatureDistance {
    /// `[F]`; empty before they are known, and where they mean nothing: then they count as zeros.
    clean: Vec<f32>,
    /// Their length.
    length: f64,
}

impl FeatureDistance {
    /// Learns the features of the clean image.
    pub(super) fn begin(&mut self, features: &[f32]) {
        self.clean.clear();
        if features.iter().all(|value| value.is_finite()) {
            self.clean.extend_from_slice(features);
        }
        let squares = self.clean.iter().map(|value| f64::from(*value).powi(2));
        self.length = squares.sum::<f64>().sqrt();
    }

    /// `‖f(x)‖₂` of the clean image.
    pub(super) fn clean_length(&self) -> f64 {
        self.length
    }

    /// `‖f(x') − f(x)‖₂`. Adds `weight` times its derivative, which at a distance of zero is zero: there it has none.
    pub(super) fn at(&self, features: &[f32], weight: f64, slopes: &mut [f32]) -> f64 {
        let difference = |index: usize| {
            f64::from(features[index]) - f64::from(self.clean.get(index).copied().unwrap_or_default())
        };
        let squares = (0..features.len()).map(|index| difference(index).powi(2));
        let distance = squares.sum::<f64>().sqrt();
        if distance > 0.0 {
            for (index, slope) in slopes.iter_mut().enumerate() {
                *slope += (weight * difference(index) / distance) as f32;
            }
        }
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_and_slope_are_those_of_the_norm() {
        let mut distance = FeatureDistance::default();
        distance.begin(&[1.0, 0.0, -2.0]);
        let mut slopes = [0.0, 1.0, 0.0];
        assert_eq!(distance.at(&[4.0, 0.0, 2.0], 10.0, &mut slopes), 5.0);
        assert_eq!(slopes, [6.0, 1.0, 8.0]);
        assert!((distance.clean_length() - 5.0_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn at_the_clean_image_there_is_no_direction_and_without_one_distances_are_from_zero() {
        let mut distance = FeatureDistance::default();
        distance.begin(&[1.0, 2.0]);
        let mut slopes = [0.0; 2];
        assert_eq!((distance.at(&[1.0, 2.0], 1.0, &mut slopes), slopes), (0.0, [0.0; 2]));
        distance.begin(&[f32::NAN, 2.0]);
        assert_eq!((distance.at(&[3.0, 4.0], 5.0, &mut slopes), slopes), (5.0, [3.0, 4.0]));
    }
}
