//! The pixels of counterexamples, for a program that asked for them.

use std::sync::Arc;

use mimir_runtime::journal::CounterexampleStore;

use crate::error::{ErrorKind, OrKind, Result};

/// The counterexamples of a certification, as the attacks found them, to the last bit. They are in a file, not in memory;
/// without a report folder it is a temporary one without a name, which goes with the last clone of this.
#[derive(Debug, Clone)]
pub struct KeptCounterexamples {
    store: Arc<CounterexampleStore>,
    /// Where that of each image is.
    slots: Vec<Option<u64>>,
    pixels_per_image: usize,
}

impl KeptCounterexamples {
    pub(crate) fn new(store: CounterexampleStore, slots: Vec<Option<u64>>, pixels_per_image: usize) -> Self {
        Self { store: Arc::new(store), slots, pixels_per_image }
    }

    /// Values in one image, `C·H·W`.
    pub fn pixels_per_image(&self) -> usize {
        self.pixels_per_image
    }

    /// Reads the counterexample of an image, counted from 0, into `pixels`: `[C·H·W]`, every value in `[0, 1]`. Returns
    /// whether there is one; nothing is written where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when `pixels` is not [`Self::pixels_per_image`] long, or the file cannot be read.
    pub fn read(&self, image: usize, pixels: &mut [f32]) -> Result<bool> {
        let Some(slot) = self.slots.get(image).copied().flatten() else { return Ok(false) };
        self.store.read(slot, pixels).or_kind(ErrorKind::Storage)?;
        Ok(true)
    }
}
