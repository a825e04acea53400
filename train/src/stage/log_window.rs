//! Sums and means over the steps between two lines of the log.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::stage::readings::Reading;

#[derive(Debug, Default)]
pub(super) struct RunningMean {
    sum: f64,
    count: u64,
}

impl RunningMean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// The steps since the last line of the log.
pub(super) struct LogWindow {
    time: Duration,
    waited: Duration,
    images: usize,
    loss: RunningMean,
    penalty: RunningMean,
    skipped: u64,
}

impl LogWindow {
    pub(super) fn start() -> Self {
        Self {
            time: Duration::ZERO,
            waited: Duration::ZERO,
            images: 0,
            loss: RunningMean::default(),
            penalty: RunningMean::default(),
            skipped: 0,
        }
    }

    /// A step. Its time has waiting for its images in it.
    pub(super) fn add(&mut self, step: &Reading) {
        self.images += step.measured.images;
        self.time += step.measured.time;
        self.waited += step.measured.waited;
        self.loss.add(step.loss);
        let mut of_step = RunningMean::default();
        for penalty in &step.penalties {
            match penalty {
                Ok(value) => of_step.add(*value),
                Err(_) => self.skipped += 1,
            }
        }
        if let Some(penalty) = of_step.value() {
            self.penalty.add(penalty);
        }
    }

    /// While training: what happens between steps (held-out images, states) does not count.
    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Share of the time of the steps in which they waited for their images, 0 to 1.
    fn waiting_share(&self) -> f64 {
        self.waited.as_secs_f64() / self.time.as_secs_f64().max(1e-9)
    }

    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("loss".to_string(), json!(self.loss.value())),
            ("images_per_second".to_string(), json!(self.images_per_second())),
            ("waiting_share".to_string(), json!(self.waiting_share())),
        ]);
        if let Some(penalty) = self.penalty.value() {
            fields.insert("penalty".into(), json!(penalty));
        }
        if self.skipped > 0 {
            fields.insert("penalty_skipped".into(), json!(self.skipped));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::readings::Measured;

    #[test]
    fn speed_is_that_of_the_steps_alone() {
        let mut window = LogWindow::start();
        for _ in 0..4 {
            let scalar = tch::Tensor::from(1.0f32);
            let (images, time, waited) = (100, Duration::from_millis(250), Duration::from_millis(25));
            window.add(&Measured { images, time, waited, ..Measured::new(0, &scalar, &scalar) }.read());
        }
        // However long the window has been open.
        assert_eq!(window.images_per_second(), 400.0);
        assert!((window.waiting_share() - 0.1).abs() < 1e-12);
    }
}
