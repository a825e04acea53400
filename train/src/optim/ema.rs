//! Exponential moving average (EMA) of the weights, which is often more robust than the last weights.

use tch::Tensor;

use super::flat::FlatParameters;

/// The decay of the moving average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmaDecay {
    /// Share of the old average that a step keeps, in `[0, 1)`.
    pub rate: f64,
    /// Whether the first steps keep less: min(rate, (1 + t) / (10 + t)) after t updates.
    pub warm_up: bool,
}

impl EmaDecay {
    /// The share that update number `updates`, from 0, keeps.
    fn at(self, updates: u64) -> f64 {
        let t = updates as f64;
        if self.warm_up { self.rate.min((1.0 + t) / (10.0 + t)) } else { self.rate }
    }
}

/// The exponential moving average of all trained values. It starts as the values at its creation.
#[derive(Debug)]
pub struct ModelEma {
    decay: EmaDecay,
    updates: u64,
    average: Tensor,
}

impl ModelEma {
    /// Of the values as they are now.
    pub fn new(flat: &FlatParameters, decay: EmaDecay) -> Self {
        Self { decay, updates: 0, average: flat.values().copy() }
    }

    /// Takes in the values after a step of the optimiser: average ← d · average + (1 − d) · values.
    pub fn update(&mut self, flat: &FlatParameters) {
        let keep = self.decay.at(self.updates);
        self.updates += 1;
        tch::no_grad(|| {
            let _ = self.average.lerp_(flat.values(), 1.0 - keep);
        });
    }

    /// Runs `work` with the average in place of the weights, then restores the weights bit for bit.
    pub fn with_average<T>(&mut self, flat: &FlatParameters, work: impl FnOnce() -> T) -> T {
        self.swap(flat);
        let result = work();
        self.swap(flat);
        result
    }

    fn swap(&mut self, flat: &FlatParameters) {
        tch::no_grad(|| {
            let values = flat.values().copy();
            flat.values().shallow_clone().copy_(&self.average);
            self.average.copy_(&values);
        });
    }

    /// Updates so far.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Continues after so many updates.
    pub(crate) fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// The average, flat.
    pub(crate) fn average(&self) -> &Tensor {
        &self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::ParameterGroups;
    use crate::parameters::{Init, Parameters};
    use tch::{Device, Kind};

    fn weights() -> (FlatParameters, Tensor) {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = parameters.root().parameter("weight", &[2, 3], Init::Zeros);
        let groups = ParameterGroups { weight_decay: 0.0, no_decay: Vec::new(), layer_decay: None };
        (FlatParameters::bind(&parameters, &groups), weight)
    }

    fn set(weight: &Tensor, value: f64) {
        tch::no_grad(|| {
            let _ = weight.shallow_clone().fill_(value);
        });
    }

    #[test]
    fn follows_by_its_recurrence_and_gives_the_weights_back() {
        // (values after each step, average by hand): rate 0.75 from 0; with a warm-up the shares kept are 1/10, 2/11.
        let cases = [
            (false, [4.0, 8.0], 0.75 * (0.25 * 4.0) + 0.25 * 8.0),
            (true, [4.0, 8.0], 2.0 / 11.0 * (0.9 * 4.0) + 9.0 / 11.0 * 8.0),
        ];
        for (warm_up, values, wanted) in cases {
            let (flat, weight) = weights();
            let mut average = ModelEma::new(&flat, EmaDecay { rate: 0.75, warm_up });
            for value in values {
                set(&weight, value);
                average.update(&flat);
            }
            let inside = average.with_average(&flat, || weight.mean(Kind::Double).double_value(&[]));
            // Two float32 roundings of each step.
            assert!((inside - wanted).abs() <= 4.0 * f64::from(f32::EPSILON) * wanted, "{inside} {wanted}");
            assert_eq!(weight, Tensor::full([2, 3], 8.0, (Kind::Float, Device::Cpu)));
            assert_eq!(average.updates(), 2);
        }
    }

    #[test]
    fn a_warm_up_ends_at_the_rate() {
        let decay = EmaDecay { rate: 0.99, warm_up: true };
        // (1 + t) / (10 + t) = 0.99 at t = 890.
        assert!(decay.at(880) < 0.99);
        assert_eq!(decay.at(891), 0.99);
    }
}
