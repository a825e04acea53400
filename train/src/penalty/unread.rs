//! What the penalty of a batch is, before anyone has asked the device.

use tch::Tensor;

use super::flags::Flags;
use super::skip::SkipReason;

/// The estimate of a batch, or why it has none, as far as the processor knows.
#[derive(Debug)]
pub enum Unread {
    /// On the device: the estimate, and the number of the reason, `[2]` float64.
    OnDevice(Tensor),
    /// Known without asking it.
    Skipped(SkipReason),
}

impl Unread {
    /// Waits for the device.
    ///
    /// # Errors
    /// Why there is no estimate.
    pub fn read(self) -> Result<f64, SkipReason> {
        match self {
            Self::Skipped(reason) => Err(reason),
            Self::OnDevice(numbers) => Self::from_numbers([0, 1].map(|place| numbers.double_value(&[place]))),
        }
    }

    /// From the two numbers.
    pub(crate) fn from_numbers([value, reason]: [f64; 2]) -> Result<f64, SkipReason> {
        Flags::reason(reason).map_or(Ok(value), Err)
    }
}
