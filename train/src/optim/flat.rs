//! All trained values of a network in one tensor, all gradients in another.
//!
//! The tensors of [`Parameters`] become windows of the first, their gradients windows of the second; every shallow clone
//! that a layer keeps follows, because it is the same tensor. Autograd adds to a gradient that exists in place, so the
//! windows stay windows, and the gradients of several micro-batches add up.

use tch::{Kind, Tensor};

use super::groups::{Group, Groups};
use crate::parameters::{Parameter, Parameters};

/// Every tensor starts at a multiple of so many values (256 bytes): as aligned as one that was allocated alone, which
/// the kernels of matrix products are chosen by. The values in between are 0 and stay so.
const ALIGNMENT: i64 = 64;

/// Longest piece on the CPU: long enough for ATen's threads to be worth their waiting for each other, short enough that
/// the operations of a step find value, gradient, moments and scratch (2.6 MB) in the cache.
const CPU_PIECE: i64 = 1 << 17;

/// Trained values and gradients of one network, one flat float32 tensor each.
#[derive(Debug)]
pub struct FlatParameters {
    values: Tensor,
    gradients: Tensor,
    slots: Vec<Slot>,
    pieces: Vec<Piece>,
}

/// Where one parameter lies.
#[derive(Debug)]
struct Slot {
    name: String,
    shape: Vec<i64>,
    start: i64,
    length: i64,
}

/// A range that one group of parameters fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: i64,
    pub(super) length: i64,
    pub(super) group: Group,
}

impl FlatParameters {
    /// Moves the trained tensors of `parameters` into flat memory and gives each a gradient of zeros. Values stay as they
    /// are. To be called once, when the network is built; the tensors must not be bound to another one after.
    pub fn bind(parameters: &Parameters, groups: &Groups) -> Self {
        let mut grouped: Vec<(&Parameter, Group)> = parameters
            .trainable()
            .map(|parameter| (parameter, groups.group(&parameter.name, &parameter.tensor.size())))
            .collect();
        // Stable: inside a group the order stays that of building.
        grouped.sort_by(|(_, a), (_, b)| {
            a.learning_rate_scale
                .total_cmp(&b.learning_rate_scale)
                .then(a.weight_decay.total_cmp(&b.weight_decay))
        });
        let (slots, ranges, total) = lay_out(&grouped);
        let options = (Kind::Float, parameters.device());
        let (values, gradients) = (Tensor::zeros([total], options), Tensor::zeros([total], options));
        let tensors: Vec<&Tensor> = grouped.iter().map(|(parameter, _)| &parameter.tensor).collect();
        bind_windows(&tensors, &slots, &values, &gradients);
        let longest = if parameters.device().is_cuda() { i64::MAX } else { CPU_PIECE };
        let pieces = ranges.iter().flat_map(|range| cut(*range, longest)).collect();
        Self { values, gradients, slots, pieces }
    }

    /// Sets all gradients to 0. They keep their memory.
    pub fn zero_gradients(&self) {
        tch::no_grad(|| {
            let _ = self.gradients.shallow_clone().zero_();
        });
    }

    /// Number of trained scalars.
    pub fn count(&self) -> usize {
        self.slots.iter().map(|slot| slot.length as usize).sum()
    }

    /// All values, and zeros in between.
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// All gradients, and zeros in between.
    pub(crate) fn gradients(&self) -> &Tensor {
        &self.gradients
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// A flat tensor of that size, all 0.
    pub(super) fn zeros(&self) -> Tensor {
        self.values.zeros_like()
    }

    /// The windows of a flat tensor that belong to the parameters, named and shaped like them.
    pub(crate) fn windows<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), slot.window(flat)))
    }
}

impl Slot {
    fn window(&self, flat: &Tensor) -> Tensor {
        flat.narrow(0, self.start, self.length).view(self.shape.as_slice())
    }
}

/// Places one after the other, the range of each run of equal groups, and the length of all.
fn lay_out(grouped: &[(&Parameter, Group)]) -> (Vec<Slot>, Vec<Piece>, i64) {
    let mut slots = Vec::new();
    let mut ranges: Vec<Piece> = Vec::new();
    let mut end = 0;
    for &(parameter, group) in grouped {
        let length = parameter.tensor.numel() as i64;
        let padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        slots.push(Slot { name: parameter.name.clone(), shape: parameter.tensor.size(), start: end, length });
        match ranges.last_mut() {
            Some(range) if range.group == group => range.length += padded,
            _ => ranges.push(Piece { start: end, length: padded, group }),
        }
        end += padded;
    }
    (slots, ranges, end)
}

fn cut(range: Piece, longest: i64) -> impl Iterator<Item = Piece> {
    let mut start = range.start;
    let end = range.start + range.length;
    std::iter::from_fn(move || {
        let length = (end - start).min(longest);
        let piece = Piece { start, length, group: range.group };
        start += length;
        (length > 0).then_some(piece)
    })
}

fn bind_windows(tensors: &[&Tensor], slots: &[Slot], values: &Tensor, gradients: &Tensor) {
    if tensors.is_empty() {
        return;
    }
    tch::no_grad(|| {
        for (tensor, slot) in tensors.iter().zip(slots) {
            let mut window = slot.window(values);
            window.copy_(tensor);
            tensor.shallow_clone().set_data(&window);
        }
    });
    // tch cannot set a gradient, but it can give an existing one other memory: the derivative of nothing makes it exist.
    let nothing: Vec<Tensor> = tensors.iter().map(|tensor| (*tensor * 0.0).sum(Kind::Float)).collect();
    Tensor::stack(&nothing, 0).sum(Kind::Float).backward();
    for (tensor, slot) in tensors.iter().zip(slots) {
        tensor.grad().set_data(&slot.window(gradients));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::Device;

    fn groups() -> Groups {
        Groups { weight_decay: 0.1, no_decay: Vec::new(), layer_decay: None }
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
        for piece in flat.pieces() {
            assert_eq!(piece.start, end);
            assert!(piece.length <= CPU_PIECE && piece.length % ALIGNMENT == 0);
            end += piece.length;
        }
        assert_eq!(end as usize, flat.values().numel());
        let of = |decay| flat.pieces().iter().filter(move |piece| piece.group.weight_decay == decay);
        assert_eq!(of(0.0).map(|piece| piece.length).sum::<i64>(), 64);
        assert_eq!(of(0.1).count(), 2);
        assert_eq!(
            flat.windows(flat.values()).map(|(name, _)| name).collect::<Vec<_>>(),
            ["bias", "large", "small"]
        );
    }

    #[test]
    fn a_network_without_trained_values_is_no_accident() {
        let parameters = Parameters::new(0, Device::Cpu);
        let flat = FlatParameters::bind(&parameters, &groups());
        assert_eq!((flat.count(), flat.pieces().len()), (0, 0));
    }
}
