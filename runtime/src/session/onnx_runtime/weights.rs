//! Weights as values of ONNX Runtime, made once for all sessions of a model.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mimir_bundle::Weight;
use ort::session::builder::SessionBuilder;
use ort::value::{DynValue, Tensor};

use crate::session::EngineError;

/// Weights by content: graphs of one model hold many in common.
#[derive(Default)]
pub(in crate::session) struct Pool {
    by_hash: HashMap<u64, Vec<Arc<DynValue>>>,
}

/// The weights of one graph, by name.
#[derive(Clone, Default)]
pub(in crate::session) struct Weights(Vec<(String, Arc<DynValue>)>);

impl Pool {
    /// The values of the weights; those that the pool holds already are those.
    pub(in crate::session) fn take(&mut self, weights: &[Weight]) -> Result<Weights, EngineError> {
        let named = |weight: &Weight| Ok((weight.name.clone(), self.value(weight)?));
        weights.iter().map(named).collect::<Result<_, EngineError>>().map(Weights)
    }

    fn value(&mut self, weight: &Weight) -> Result<Arc<DynValue>, EngineError> {
        let mut hasher = DefaultHasher::new();
        (&weight.dims, &weight.data).hash(&mut hasher);
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        if let Some(known) = candidates.iter().find(|known| is_value_of(known, weight)) {
            return Ok(Arc::clone(known));
        }
        let elements: Vec<f32> = elements(weight).collect();
        let value = Arc::new(Tensor::from_array((weight.dims.clone(), elements))?.into_dyn());
        candidates.push(Arc::clone(&value));
        Ok(value)
    }
}

fn elements(weight: &Weight) -> impl Iterator<Item = f32> {
    weight.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

fn is_value_of(value: &DynValue, weight: &Weight) -> bool {
    value.try_extract_tensor::<f32>().is_ok_and(|(shape, data)| {
        let same_dims = shape.iter().map(|dim| *dim as usize).eq(weight.dims.iter().copied());
        // Bit patterns, so that what is not a number is equal to itself.
        same_dims && data.iter().map(|value| value.to_bits()).eq(elements(weight).map(f32::to_bits))
    })
}

impl Weights {
    /// A session that takes them in place of the initialisers that its file does not hold.
    pub(super) fn hand_over(&self, mut builder: SessionBuilder) -> Result<SessionBuilder, EngineError> {
        for (name, value) in &self.0 {
            builder = builder.with_external_initializer(name, Arc::clone(value))?;
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(name: &str, dims: &[usize], values: &[f32]) -> Weight {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Weight { name: name.to_owned(), dims: dims.to_vec(), data }
    }

    #[test]
    fn equal_weights_are_one_value() {
        let _library = crate::session::Engine::load(None).unwrap();
        let mut pool = Pool::default();
        let odd = [1.0, f32::NAN];
        let first = pool.take(&[weight("a", &[2], &odd), weight("b", &[2], &[1.0, 2.0])]).unwrap();
        let second = pool.take(&[weight("c", &[2], &odd), weight("d", &[2, 1], &odd)]).unwrap();
        assert!(Arc::ptr_eq(&first.0[0].1, &second.0[0].1));
        assert!(!Arc::ptr_eq(&first.0[0].1, &second.0[1].1), "other dimensions");
        assert!(!Arc::ptr_eq(&first.0[0].1, &first.0[1].1), "other elements");
    }
}
