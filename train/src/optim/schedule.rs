//! Schedules of learning rate and attack radius. Time is in epochs: step / steps per epoch.

use std::f64::consts::PI;

/// The learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annealing {
    /// Half a cosine from the peak to the minimum at the last epoch.
    Cosine,
    /// The peak until the end.
    Constant,
}

/// A linear warm-up, then [`Annealing`] (MAE, `lr_sched.py`), evaluated at every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Rate at the end of the warm-up.
    pub peak: f64,
    /// Rate of the first step, where there is a warm-up.
    pub start: f64,
    /// Rate at the end of a cosine. Layer-wise decay scales it like every other rate.
    pub minimum: f64,
    /// Length of the warm-up in epochs; 0 for none.
    pub warm_up_epochs: f64,
    /// Length of the run in epochs.
    pub epochs: f64,
    /// What comes after the warm-up.
    pub annealing: Annealing,
}

impl Schedule {
    /// The peak of a run with `batch` images between two updates: `base · batch / 256`.
    pub fn peak_from_base(base: f64, batch: usize) -> f64 {
        base * batch as f64 / 256.0
    }

    /// The rate at `epoch`, counted from 0. After the last epoch that of the end.
    pub fn learning_rate(&self, epoch: f64) -> f64 {
        if epoch < self.warm_up_epochs {
            return self.start + (self.peak - self.start) * epoch / self.warm_up_epochs;
        }
        match self.annealing {
            Annealing::Constant => self.peak,
            Annealing::Cosine => {
                let length = self.epochs - self.warm_up_epochs;
                let share = if length > 0.0 { (epoch - self.warm_up_epochs) / length } else { 1.0 };
                // `libm`: the rate, and so the run, is the same on every machine.
                let cosine = libm::cos(PI * share.min(1.0));
                self.minimum + (self.peak - self.minimum) * 0.5 * (1.0 + cosine)
            }
        }
    }
}

/// Radius of the attack at `epoch`: grows linearly from 0 to `target` over `warm_up_epochs`, 0 for no warm-up.
pub fn epsilon(target: f64, warm_up_epochs: f64, epoch: f64) -> f64 {
    if epoch < warm_up_epochs { target * epoch / warm_up_epochs } else { target }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-12 * wanted.abs().max(1e-6), "{found} for {wanted}");
    }

    #[test]
    fn the_papers_peaks() {
        close(Schedule::peak_from_base(1.5e-4, 512), 3.0e-4);
        close(Schedule::peak_from_base(1.5e-4, 2048), 1.2e-3);
    }

    #[test]
    fn warm_up_then_half_a_cosine() {
        let schedule = Schedule {
            peak: 3e-4,
            start: 1e-6,
            minimum: 1e-5,
            warm_up_epochs: 40.0,
            epochs: 800.0,
            annealing: Annealing::Cosine,
        };
        let cases = [
            (0.0, 1e-6),
            (20.0, 0.5 * (1e-6 + 3e-4)),
            (40.0, 3e-4),
            // A third of the cosine: (1 + cos 60°) / 2 = 0.75.
            (40.0 + 760.0 / 3.0, 1e-5 + 2.9e-4 * 0.75),
            (420.0, 0.5 * (1e-5 + 3e-4)),
            (800.0, 1e-5),
            (900.0, 1e-5),
        ];
        for (epoch, wanted) in cases {
            close(schedule.learning_rate(epoch), wanted);
        }
        let constant = Schedule { annealing: Annealing::Constant, ..schedule };
        close(constant.learning_rate(700.0), 3e-4);
        close(constant.learning_rate(10.0), 1e-6 + 2.99e-4 / 4.0);
    }

    #[test]
    fn no_warm_up_and_nothing_but_warm_up() {
        let schedule = Schedule {
            peak: 1.0,
            start: 0.0,
            minimum: 0.1,
            warm_up_epochs: 0.0,
            epochs: 4.0,
            annealing: Annealing::Cosine,
        };
        close(schedule.learning_rate(0.0), 1.0);
        let short = Schedule { warm_up_epochs: 4.0, ..schedule };
        close(short.learning_rate(2.0), 0.5);
        close(short.learning_rate(4.0), 0.1);
    }

    #[test]
    fn the_radius_grows_to_its_target() {
        let found = [0.0, 2.5, 5.0, 9.0].map(|epoch| epsilon(8.0, 5.0, epoch));
        assert_eq!(found, [0.0, 4.0, 8.0, 8.0]);
        assert_eq!(epsilon(8.0, 0.0, 0.0), 8.0);
    }
}
