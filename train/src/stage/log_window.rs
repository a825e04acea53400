//! Sums and means over the steps between two lines of the log.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::penalty::SkipReason;

/// Sums over the micro-batches of a step.
#[derive(Debug, Default)]
pub(super) struct StepSums {
    /// Mean loss of the batch.
    pub(super) loss: f64,
    penalty: RunningMean,
    skipped: u64,
}

impl StepSums {
    pub(super) fn add(&mut self, loss: f64, penalty: Option<Result<f64, SkipReason>>) {
        self.loss += loss;
        match penalty {
            None => {}
            Some(Ok(value)) => self.penalty.add(value),
            Some(Err(_)) => self.skipped += 1,
        }
    }
}

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
    images: usize,
    loss: RunningMean,
    penalty: RunningMean,
    skipped: u64,
}

impl LogWindow {
    pub(super) fn start() -> Self {
        Self {
            time: Duration::ZERO,
            images: 0,
            loss: RunningMean::default(),
            penalty: RunningMean::default(),
            skipped: 0,
        }
    }

    /// A step of so many images that took that time, waiting for its images included.
    pub(super) fn add(&mut self, images: usize, time: Duration, sums: &StepSums) {
        self.images += images;
        self.time += time;
        self.loss.add(sums.loss);
        if let Some(penalty) = sums.penalty.value() {
            self.penalty.add(penalty);
        }
        self.skipped += sums.skipped;
    }

    /// While training: what happens between steps (held-out images, states) does not count.
    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.time.as_secs_f64().max(1e-9)
    }

    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("loss".to_string(), json!(self.loss.value())),
            ("images_per_second".to_string(), json!(self.images_per_second())),
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

    #[test]
    fn speed_is_that_of_the_steps_alone() {
        let mut window = LogWindow::start();
        for _ in 0..4 {
            window.add(100, Duration::from_millis(250), &StepSums::default());
        }
        // However long the window has been open.
        assert_eq!(window.images_per_second(), 400.0);
    }
}
