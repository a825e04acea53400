//! Weights in the type of matrix products: made anew where they are used, or once while they stay the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Kind, Tensor};

/// What is kept of the weights of one network.
#[derive(Debug, Default)]
pub(super) struct Casts {
    /// By the number of the weight; nothing is kept where absent.
    kept: Mutex<Option<BTreeMap<usize, Tensor>>>,
    #[cfg(test)]
    made: std::sync::atomic::AtomicUsize,
}

impl Casts {
    /// A poisoned lock is safe to use: a map is changed as a whole.
    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<usize, Tensor>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps casts from now on, none yet.
    pub(super) fn keep(self: &Arc<Self>) -> KeptCasts {
        let before = self.lock().replace(BTreeMap::new());
        KeptCasts { casts: Arc::clone(self), before }
    }

    /// How often a weight was cast.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        self.made.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Casts are kept while this is alive. Weights must not change until then.
#[derive(Debug)]
#[must_use = "casts are kept while it is alive"]
pub struct KeptCasts {
    casts: Arc<Casts>,
    before: Option<BTreeMap<usize, Tensor>>,
}

impl Drop for KeptCasts {
    fn drop(&mut self) {
        *self.casts.lock() = self.before.take();
    }
}

/// A trained tensor that takes part in matrix products of some type.
#[derive(Debug)]
pub struct ProductWeight {
    /// In float32.
    pub(super) master: Tensor,
    pub(super) kind: Kind,
    pub(super) number: usize,
    pub(super) casts: Arc<Casts>,
}

impl ProductWeight {
    /// In the type of the products. The gradient by it reaches the tensor itself, also through a cast that was first made while no
    /// gradients were tracked.
    pub fn cast(&self) -> Tensor {
        if self.kind == self.master.kind() {
            return self.master.shallow_clone();
        }
        match &mut *self.casts.lock() {
            None => self.make(),
            Some(kept) => kept.entry(self.number).or_insert_with(|| self.make()).shallow_clone(),
        }
    }

    fn make(&self) -> Tensor {
        #[cfg(test)]
        self.casts.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tch::with_grad(|| self.master.to_kind(self.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Init, Parameters};
    use super::*;
    use tch::Device;

    fn weight(parameters: &mut Parameters, kind: Kind) -> ProductWeight {
        parameters.root().product_weight("w", &[2, 3], Init::Normal(1.0), kind)
    }

    #[test]
    fn a_cast_is_made_once_while_it_is_kept() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = weight(&mut parameters, Kind::BFloat16);
        let _ = [weight.cast(), weight.cast()];
        assert_eq!(parameters.casts.made(), 2);
        {
            let _kept = parameters.keep_casts();
            assert_eq!(weight.cast().data_ptr(), weight.cast().data_ptr());
            assert_eq!(parameters.casts.made(), 3);
            // Of its own, for a while.
            let outer = weight.cast().data_ptr();
            {
                let _own = parameters.keep_casts();
                assert_ne!(weight.cast().data_ptr(), outer);
            }
            assert_eq!(weight.cast().data_ptr(), outer);
            assert_eq!(parameters.casts.made(), 4);
        }
        tch::no_grad(|| {
            let _ = weight.master.shallow_clone().fill_(5.0);
        });
        assert_eq!(weight.cast().double_value(&[1, 2]), 5.0, "nothing is kept beyond");
        assert_eq!(parameters.casts.made(), 5);
    }

    #[test]
    fn gradients_reach_the_weight_through_a_cast_that_was_made_without_them() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = weight(&mut parameters, Kind::BFloat16);
        let _kept = parameters.keep_casts();
        let _ = tch::no_grad(|| weight.cast());
        for round in 1..=2 {
            (weight.cast() * 3.0).sum(Kind::Float).backward();
            assert_eq!(weight.master.grad().double_value(&[0, 0]), 3.0 * f64::from(round));
        }
    }

    #[test]
    fn weights_of_the_same_type_are_used_as_they_are() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = weight(&mut parameters, Kind::Float);
        assert_eq!(weight.cast().data_ptr(), weight.master.data_ptr());
        assert_eq!(parameters.casts.made(), 0);
    }
}
