//! Loss and gradient norm of each step, on their way from the device.
//!
//! Reading a number from a GPU waits until everything before it is computed. On a GPU the numbers of a step are therefore read
//! one step later, when the work of the next one is queued: the device never waits for the processor.

use std::time::Duration;

use tch::{Device, Kind, Tensor};

use crate::penalty::{SkipReason, Unread};

/// What a step leaves on the device, and what the processor knows about it.
#[derive(Debug)]
pub(super) struct Measured {
    /// The step, from 0.
    pub(super) step: u64,
    /// Loss and gradient norm, `[2]`.
    pub(super) numbers: Tensor,
    /// Of each part.
    pub(super) penalties: Vec<Unread>,
    pub(super) images: usize,
    /// From the wait for its images to its end.
    pub(super) time: Duration,
    /// Of that, the wait for its images.
    pub(super) waited: Duration,
    pub(super) learning_rate: f64,
}

/// The numbers of a step.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) loss: f64,
    pub(super) norm: f64,
    /// Of each part.
    pub(super) penalties: Vec<Result<f64, SkipReason>>,
    pub(super) measured: Measured,
}

impl Measured {
    /// From scalars on one device.
    pub(super) fn new(step: u64, loss: &Tensor, norm: &Tensor) -> Self {
        let numbers = Tensor::stack(&[loss.to_kind(Kind::Double), norm.to_kind(Kind::Double)], 0).detach();
        let (time, waited) = (Duration::ZERO, Duration::ZERO);
        Self { step, numbers, penalties: Vec::new(), images: 0, time, waited, learning_rate: 0.0 }
    }

    /// Waits for the device, once for all numbers.
    pub(super) fn read(mut self) -> Reading {
        let penalties = std::mem::take(&mut self.penalties);
        let of_penalties = penalties.iter().filter_map(|penalty| match penalty {
            Unread::OnDevice(numbers) => Some(numbers),
            Unread::Skipped(_) => None,
        });
        let all: Vec<&Tensor> = std::iter::once(&self.numbers).chain(of_penalties).collect();
        let all = Tensor::cat(&all, 0).to_device(Device::Cpu);
        let mut places = 0..;
        let mut next = || all.double_value(&[places.next().unwrap_or_default()]);
        let (loss, norm) = (next(), next());
        let read = |penalty| match penalty {
            Unread::OnDevice(_) => Unread::from_numbers([next(), next()]),
            Unread::Skipped(reason) => Err(reason),
        };
        let penalties = penalties.into_iter().map(read).collect();
        Reading { loss, norm, penalties, measured: self }
    }
}

/// The step that has not been read yet.
#[derive(Debug, Default)]
pub(super) struct Readings {
    waiting: Option<Measured>,
}

impl Readings {
    /// Takes in a step; the one before is read.
    pub(super) fn push(&mut self, measured: Measured) -> Option<Reading> {
        self.waiting.replace(measured).map(Measured::read)
    }

    /// How long the step took that was pushed last, with the wait for the one before.
    pub(super) fn took(&mut self, time: Duration) {
        if let Some(measured) = &mut self.waiting {
            measured.time = time;
        }
    }

    /// Reads what is left.
    pub(super) fn flush(&mut self) -> Option<Reading> {
        self.waiting.take().map(Measured::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_read_with_the_step_in_their_order() {
        let scalar = |value: f64| Tensor::from(value);
        let on_device = |value: f64, reason: f64| Unread::OnDevice(Tensor::from_slice(&[value, reason]));
        let skipped = SkipReason::TooFewSamples { found: 1, wanted: 2 };
        let penalties = vec![on_device(0.5, 0.0), Unread::Skipped(skipped), on_device(f64::NAN, 9.0)];
        let read = Measured { penalties, ..Measured::new(0, &scalar(1.0), &scalar(2.0)) }.read();
        assert_eq!((read.loss, read.norm), (1.0, 2.0));
        assert_eq!(read.penalties, [Ok(0.5), Err(skipped), Err(SkipReason::NonFinite)]);
    }

    #[test]
    fn every_step_is_read_once_and_one_step_later() {
        let mut readings = Readings::default();
        let step = |step: u64| Measured::new(step, &Tensor::from(step as f32), &Tensor::from(10.0f32));
        assert!(readings.flush().is_none());
        assert!(readings.push(step(0)).is_none());
        for next in 1..4 {
            let read = readings.push(step(next)).unwrap();
            assert_eq!((read.measured.step, read.loss, read.norm), (next - 1, (next - 1) as f64, 10.0));
        }
        assert_eq!(readings.flush().unwrap().measured.step, 3);
        assert!(readings.flush().is_none());
    }
}
