//! All trained values of a network in one tensor, all gradients in another.
//!
//! The tensors of [`Parameters`] become views of the first, their gradients views of the second; every shallow clone
//! that a layer keeps follows, because it is the same tensor. Autograd adds to a gradient that exists in place, so the
//! views stay views, and the gradients of several micro-batches add up.

use tch::{Kind, Tensor};

use super::groups::{ParameterGroup, ParameterGroups};
use crate::parameters::{Parameter, Parameters};

/// Every tensor starts at a multiple of so many values (256 bytes): as aligned as one that was allocated alone, which
/// the kernels of matrix products are chosen by. The values in between are 0 and stay so.
const ALIGNMENT: i64 = 64;

/// Longest chunk on the CPU: long enough to amortise the synchronisation of ATen's threads, short enough that
/// the operations of a step find value, gradient, moments and scratch (2.6 MB) in the cache.
const CPU_CHUNK: i64 = 1 << 17;

/// Trained values and gradients of one network, one flat float32 tensor each.
#[derive(Debug)]
pub struct FlatParameters {
    values: Tensor,
    gradients: Tensor,
    ranges_of_parameters: Vec<ParameterRange>,
    chunks: Vec<Chunk>,
}

/// Where one parameter lies.
#[derive(Debug)]
struct ParameterRange {
    name: String,
    shape: Vec<i64>,
    start: i64,
    length: i64,
}

/// A contiguous range of parameters of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) start: i64,
    pub(super) length: i64,
    pub(super) group: ParameterGroup,
}

impl FlatParameters {
    /// Moves the trained tensors of `parameters` into flat memory and gives each a gradient of zeros. Values stay as they
    /// are. To be called once, when the network is built; the tensors must not be bound to another one after.
    pub fn bind(parameters: &Parameters, groups: &ParameterGroups) -> Self {
        let mut grouped: Vec<(&Parameter, ParameterGroup)> = parameters
            .trainable()
            .map(|parameter| (parameter, groups.group(&parameter.name, &parameter.tensor.size())))
            .collect();
        // Stable: inside a group the order stays that of building.
        grouped.sort_by(|(_, a), (_, b)| {
            a.learning_rate_scale
                .total_cmp(&b.learning_rate_scale)
                .then(a.weight_decay.total_cmp(&b.weight_decay))
        });
        let (ranges_of_parameters, ranges, total) = lay_out(&grouped);
        let options = (Kind::Float, parameters.device());
        let (values, gradients) = (Tensor::zeros([total], options), Tensor::zeros([total], options));
        let tensors: Vec<&Tensor> = grouped.iter().map(|(parameter, _)| &parameter.tensor).collect();
        bind_views(&tensors, &ranges_of_parameters, &values, &gradients);
        let longest = if parameters.device().is_cuda() { i64::MAX } else { CPU_CHUNK };
        let chunks = ranges.iter().flat_map(|range| cut(*range, longest)).collect();
        Self { values, gradients, ranges_of_parameters, chunks }
    }

    /// Sets all gradients to 0. They keep their memory.
    pub fn zero_gradients(&self) {
        tch::no_grad(|| {
            let _ = self.gradients.shallow_clone().zero_();
        });
    }

    /// Number of trained scalars.
    pub fn count(&self) -> usize {
        self.ranges_of_parameters.iter().map(|range| range.length as usize).sum()
    }

    /// All values, and zeros in between.
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// All gradients, and zeros in between.
    pub(crate) fn gradients(&self) -> &Tensor {
        &self.gradients
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// A flat tensor of that size, all 0.
    pub(super) fn zeros(&self) -> Tensor {
        self.values.zeros_like()
    }

    /// The views of a flat tensor that belong to the parameters, named and shaped like them.
    pub(crate) fn views<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.ranges_of_parameters.iter().map(|range| (range.name.as_str(), range.view(flat)))
    }
}

impl ParameterRange {
    fn view(&self, flat: &Tensor) -> Tensor {
        flat.narrow(0, self.start, self.length).view(self.shape.as_slice())
    }
}

/// The range of each parameter, one after the other, the range of each group, and the total length.
fn lay_out(grouped: &[(&Parameter, ParameterGroup)]) -> (Vec<ParameterRange>, Vec<Chunk>, i64) {
    let mut ranges_of_parameters = Vec::new();
    let mut ranges: Vec<Chunk> = Vec::new();
    let mut end = 0;
    for &(parameter, group) in grouped {
        let length = parameter.tensor.numel() as i64;
        let padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        ranges_of_parameters.push(ParameterRange {
            name: parameter.name.clone(),
            shape: parameter.tensor.size(),
            start: end,
            length,
        });
        match ranges.last_mut() {
            Some(range) if range.group == group => range.length += padded,
            _ => ranges.push(Chunk { start: end, length: padded, group }),
        }
        end += padded;
    }
    (ranges_of_parameters, ranges, end)
}

fn cut(range: Chunk, longest: i64) -> impl Iterator<Item = Chunk> {
    let mut start = range.start;
    let end = range.start + range.length;
    std::iter::from_fn(move || {
        let length = (end - start).min(longest);
        let chunk = Chunk { start, length, group: range.group };
        start += length;
        (length > 0).then_some(chunk)
    })
}

fn bind_views(
    tensors: &[&Tensor],
    ranges_of_parameters: &[ParameterRange],
    values: &Tensor,
    gradients: &Tensor,
) {
    if tensors.is_empty() {
        return;
    }
    tch::no_grad(|| {
        for (tensor, range) in tensors.iter().zip(ranges_of_parameters) {
            let mut view = range.view(values);
            view.copy_(tensor);
            tensor.shallow_clone().set_data(&view);
        }
    });
    // tch cannot assign a gradient, but it can replace the data of an existing one: the backward pass of a zero loss
    // makes them exist.
    let nothing: Vec<Tensor> = tensors.iter().map(|tensor| (*tensor * 0.0).sum(Kind::Float)).collect();
    Tensor::stack(&nothing, 0).sum(Kind::Float).backward();
    for (tensor, range) in tensors.iter().zip(ranges_of_parameters) {
        tensor.grad().set_data(&range.view(gradients));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::Device;

    fn groups() -> ParameterGroups {
        ParameterGroups { weight_decay: 0.1, no_decay: Vec::new(), layer_decay: None }
    }

    #[test]
    fn layers_and_record_follow_the_flat_values() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = parameters.root().parameter("weight", &[3, 5], Init::Normal(1.0));
        let bias = parameters.root().parameter("bias", &[3], Init::Ones);
        let before = (weight.copy(), bias.copy());
        let flat = FlatParameters::bind(&parameters, &groups());
        assert_eq!((&weight, &bias), (&before.0, &before.1));
        assert_eq!(flat.count(), 18);
        tch::no_grad(|| {
            let _ = flat.values().shallow_clone().g_mul_scalar_(2.0);
        });
        assert_eq!(weight, &before.0 * 2.0);
        assert_eq!(parameters.get("bias"), Some(&(&before.1 * 2.0)));
        assert!(weight.requires_grad() && weight.is_leaf());
    }

    #[test]
    fn gradients_add_up_in_flat_memory_until_they_are_zeroed() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = parameters.root().parameter("weight", &[3, 5], Init::Normal(1.0));
        let flat = FlatParameters::bind(&parameters, &groups());
        for round in 1..=3 {
            (&weight * 2.0).sum(Kind::Float).backward();
            assert_eq!(flat.gradients().sum(Kind::Float).double_value(&[]), 30.0 * f64::from(round));
        }
        flat.zero_gradients();
        assert_eq!(weight.grad().abs().max().double_value(&[]), 0.0);
        (&weight * 2.0).sum(Kind::Float).backward();
        assert_eq!(flat.gradients().sum(Kind::Float).double_value(&[]), 30.0);
    }

    #[test]
    fn pieces_cover_everything_once_in_groups_of_their_own() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let _ = parameters.root().parameter("large", &[300, 500], Init::Ones);
        let _ = parameters.root().parameter("bias", &[7], Init::Ones);
        let _ = parameters.root().parameter("small", &[3, 5], Init::Ones);
        let flat = FlatParameters::bind(&parameters, &groups());
        let mut end = 0;
        for chunk in flat.chunks() {
            assert_eq!(chunk.start, end);
            assert!(chunk.length <= CPU_CHUNK && chunk.length % ALIGNMENT == 0);
            end += chunk.length;
        }
        assert_eq!(end as usize, flat.values().numel());
        let of = |decay| flat.chunks().iter().filter(move |chunk| chunk.group.weight_decay == decay);
        assert_eq!(of(0.0).map(|chunk| chunk.length).sum::<i64>(), 64);
        assert_eq!(of(0.1).count(), 2);
        assert_eq!(
            flat.views(flat.values()).map(|(name, _)| name).collect::<Vec<_>>(),
            ["bias", "large", "small"]
        );
    }

    #[test]
    fn a_network_without_trained_values_is_no_accident() {
        let parameters = Parameters::new(0, Device::Cpu);
        let flat = FlatParameters::bind(&parameters, &groups());
        assert_eq!((flat.count(), flat.chunks().len()), (0, 0));
    }
}
