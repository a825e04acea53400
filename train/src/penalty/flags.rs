//! Why a batch has no penalty, found on the device that the batch is on.
//!
//! Asking a GPU for a number waits until everything before it is computed. What would have been an `if` is therefore a number that stays
//! there until the step is read, and what was computed of a batch without a penalty is replaced by zeros.

use tch::{Device, Kind, Tensor};

use super::skip::{Argument, SkipReason};

/// Reasons by their numbers, from 1; 0 is none.
const REASONS: [SkipReason; 10] = [
    SkipReason::NonFiniteInput(Argument::Image),
    SkipReason::NonFiniteInput(Argument::Latent),
    SkipReason::EqualRows(Argument::Image),
    SkipReason::EqualRows(Argument::Latent),
    SkipReason::ZeroWidth(Argument::Image),
    SkipReason::ZeroWidth(Argument::Latent),
    SkipReason::ConstantKernel,
    SkipReason::Factorisation,
    SkipReason::NonFinite,
    SkipReason::Zero,
];

/// The first reason that was noted.
#[derive(Debug)]
pub(super) struct Flags {
    /// Its number, a float64 scalar.
    number: Tensor,
}

impl Flags {
    /// Nothing yet.
    pub(super) fn new(device: Device) -> Self {
        Self { number: Tensor::zeros([], (Kind::Double, device)) }
    }

    /// Notes a reason where `is_so`, a scalar, is true and none was noted before. One that is not in the list is none.
    pub(super) fn note(&mut self, is_so: &Tensor, reason: SkipReason) {
        let number = REASONS.iter().position(|known| *known == reason).map_or(0, |place| place + 1);
        let counts = is_so.logical_and(&self.is_clear()).to_kind(Kind::Double);
        self.number = &self.number + counts * number as f64;
    }

    /// Whether nothing was noted, a scalar.
    pub(super) fn is_clear(&self) -> Tensor {
        self.number.eq(0.0)
    }

    /// `tensor` where nothing was noted, else zeros.
    pub(super) fn or_zeros(&self, tensor: &Tensor) -> Tensor {
        tensor.where_self(&self.is_clear(), &tensor.zeros_like())
    }

    /// The number of the reason.
    pub(super) fn number(&self) -> &Tensor {
        &self.number
    }

    /// The reason with that number.
    pub(super) fn reason(number: f64) -> Option<SkipReason> {
        REASONS.get((number as usize).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts_and_zeros_take_the_place_of_what_it_spoils() {
        let mut flags = Flags::new(Device::Cpu);
        let spoilt = Tensor::from_slice(&[f64::NAN, 2.0]);
        let (yes, no) = (Tensor::from(true), Tensor::from(false));
        flags.note(&no, SkipReason::Zero);
        assert_eq!(flags.or_zeros(&spoilt).double_value(&[1]), 2.0);
        for reason in [SkipReason::ConstantKernel, SkipReason::Zero] {
            flags.note(&yes, reason);
        }
        assert_eq!(Flags::reason(flags.number().double_value(&[])), Some(SkipReason::ConstantKernel));
        assert_eq!(flags.or_zeros(&spoilt), Tensor::zeros([2], (Kind::Double, Device::Cpu)));
        assert_eq!(Flags::reason(0.0), None);
    }
}
