//! The named tensors of a network, with timm's names, and their initialisation.
//!
//! A network is built against a [`Scope`], which adds a prefix to the names and records every tensor in
//! [`Parameters`]; the layers keep shallow clones that share the memory. Optimiser, checkpoint and weight average work on
//! the record alone and never know which network it is.

mod casts;

use std::sync::Arc;

use mimir_data::random::Stream;
use tch::{Device, Kind, Tensor};

use crate::random;
use casts::Casts;
pub use casts::{KeptCasts, ProductWeight};

/// One named tensor, float32 on the device of the run.
#[derive(Debug)]
pub struct Parameter {
    /// Name as timm or MAE spells it, for example `blocks.0.attn.qkv.weight`.
    pub name: String,
    /// The value; a leaf that requires a gradient where `trainable`.
    pub tensor: Tensor,
    /// False for buffers such as fixed positions, which are saved but never updated.
    pub trainable: bool,
}

/// All tensors of a network, in the order in which its layers were built.
#[derive(Debug)]
pub struct Parameters {
    entries: Vec<Parameter>,
    initialisation: Initialisation,
    scheme: Scheme,
    device: Device,
    casts: Arc<Casts>,
}

/// The rule that the first weights of a network follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    /// MAE's, for what is pre-trained: Linears and patches Xavier-uniform, sine-cosine positions.
    #[default]
    Mae,
    /// timm's, for classifiers that are trained from random weights: Linears and positions truncated normal with
    /// standard deviation 0.02, the patch convolution as PyTorch initialises convolutions.
    Timm,
}

/// Standard deviation of timm's truncated normal.
const TIMM_STD: f64 = 0.02;

impl Scheme {
    /// Of the weight of a Linear.
    pub fn linear(self) -> Init {
        match self {
            Self::Mae => Init::XavierUniform,
            Self::Timm => Init::TruncatedNormal(TIMM_STD),
        }
    }

    /// Of weight and bias of a convolution over patches of `fan_in` values.
    pub fn patches(self, fan_in: i64) -> [Init; 2] {
        let bound = 1.0 / (fan_in as f64).sqrt();
        match self {
            Self::Mae => [Init::XavierUniform, Init::Zeros],
            Self::Timm => [Init::Uniform { bound }, Init::Uniform { bound }],
        }
    }

    /// Of positions that are learned; `table` has MAE's.
    pub fn positions(self, table: Tensor) -> Init {
        match self {
            Self::Mae => Init::Value(table),
            Self::Timm => Init::TruncatedNormal(TIMM_STD),
        }
    }

    /// Of the class token of a ViT.
    pub fn class_token(self) -> Init {
        match self {
            Self::Mae => Init::Normal(0.02),
            Self::Timm => Init::Normal(1e-6),
        }
    }

    /// Of the class token of a ConViT or CaiT, which timm initialises as positions.
    pub fn late_class_token(self) -> Init {
        match self {
            Self::Mae => Init::Normal(0.02),
            Self::Timm => Init::TruncatedNormal(TIMM_STD),
        }
    }
}

/// How tensors are initialised.
#[derive(Debug, Clone, Copy)]
enum Initialisation {
    /// By their [`Init`], with random numbers of this seed.
    Seeded(u64),
    /// One zero that all elements of a tensor share.
    ShapesOnly,
}

impl Parameters {
    /// An empty record. Initial values are keyed by `seed` and the name of the parameter, and follow MAE's rule.
    pub fn new(seed: u64, device: Device) -> Self {
        Self::with_scheme(seed, device, Scheme::Mae)
    }

    /// The same with the initial values of another rule.
    pub fn with_scheme(seed: u64, device: Device, scheme: Scheme) -> Self {
        let initialisation = Initialisation::Seeded(seed);
        Self { entries: Vec::new(), initialisation, scheme, device, casts: Arc::default() }
    }

    /// Empty, for names and shapes alone: nothing is initialised, and a tensor of any size takes four bytes.
    pub fn shapes_only() -> Self {
        let initialisation = Initialisation::ShapesOnly;
        let (scheme, device, casts) = (Scheme::Mae, Device::Cpu, Arc::default());
        Self { entries: Vec::new(), initialisation, scheme, device, casts }
    }

    /// The scope without a prefix.
    pub fn root(&mut self) -> Scope<'_> {
        Scope { parameters: self, prefix: String::new() }
    }

    /// All tensors, in the order of building.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.entries.iter()
    }

    /// Those that are trained.
    pub fn trainable(&self) -> impl Iterator<Item = &Parameter> {
        self.entries.iter().filter(|parameter| parameter.trainable)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.tensor)
    }

    /// Number of elements, including buffers.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|parameter| parameter.tensor.numel()).sum()
    }

    /// The device of the tensors.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Makes weights in the type of matrix products once, from now on until the result is dropped; before that, no weight may
    /// change. Called again, it starts anew, until that result is dropped.
    pub fn keep_casts(&self) -> KeptCasts {
        self.casts.keep()
    }

    /// How often a weight was made in the type of matrix products.
    #[cfg(test)]
    pub(crate) fn casts_made(&self) -> usize {
        self.casts.made()
    }
}

/// A prefix of names, as PyTorch's modules have it.
#[derive(Debug)]
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
}

impl Scope<'_> {
    /// The scope one level down: `scope.child("blocks").child(0)` names `blocks.0.…`.
    pub fn child(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Scope { parameters: self.parameters, prefix }
    }

    /// A trained tensor.
    pub fn parameter(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.add(name, shape, init, true)
    }

    /// A trained tensor that takes part in matrix products of that type.
    pub fn product_weight(&mut self, name: &str, shape: &[i64], init: Init, kind: Kind) -> ProductWeight {
        let master = self.parameter(name, shape, init);
        let (number, casts) = (self.parameters.entries.len(), Arc::clone(&self.parameters.casts));
        ProductWeight { master, kind, number, casts }
    }

    /// A buffer: saved with the network and never updated.
    pub fn buffer(&mut self, name: &str, value: &Tensor) -> Tensor {
        self.add(name, &value.size(), Init::Value(value.shallow_clone()), false)
    }

    /// The device of the tensors.
    pub fn device(&self) -> Device {
        self.parameters.device
    }

    /// The rule of initial values.
    pub fn scheme(&self) -> Scheme {
        self.parameters.scheme
    }

    fn add(&mut self, name: &str, shape: &[i64], init: Init, trainable: bool) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        debug_assert!(self.parameters.get(&name).is_none(), "{name} is made twice");
        let value = match self.parameters.initialisation {
            Initialisation::Seeded(seed) => init.sample(&mut random::for_name(seed, &name), shape),
            Initialisation::ShapesOnly => Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand(shape, false),
        };
        let tensor = value.to_device(self.parameters.device).set_requires_grad(trainable);
        let shared = tensor.shallow_clone();
        self.parameters.entries.push(Parameter { name, tensor, trainable });
        shared
    }
}

/// Initialisation of a tensor.
#[derive(Debug)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Normal with mean 0 and that standard deviation.
    Normal(f64),
    /// The same, redrawn until it lies in [-2, 2] (timm's `trunc_normal_`: bounds in units of the value, not of σ).
    TruncatedNormal(f64),
    /// Uniform in ±√(6 / (fan_in + fan_out)); the fans are the first axis and the product of the others (MAE's rule for
    /// every Linear, a fused qkv counted as one matrix, and for the patch convolution as a matrix).
    XavierUniform,
    /// Uniform in ±1/√fan_in, fan_in the product of all axes but the first: PyTorch's default for convolutions. Biases
    /// name their fan_in themselves.
    Uniform {
        /// Half width of the interval.
        bound: f64,
    },
    /// That value, in float32.
    Value(Tensor),
}

impl Init {
    fn sample(self, stream: &mut Stream, shape: &[i64]) -> Tensor {
        let float = (Kind::Float, Device::Cpu);
        match self {
            Self::Zeros => Tensor::zeros(shape, float),
            Self::Ones => Tensor::ones(shape, float),
            Self::Normal(std) => normal(stream, shape) * std,
            Self::TruncatedNormal(std) => truncated_normal(stream, shape, std),
            Self::XavierUniform => {
                let fan_out = shape[0];
                let fan_in: i64 = shape[1..].iter().product();
                uniform(stream, shape, (6.0 / (fan_in + fan_out) as f64).sqrt())
            }
            Self::Uniform { bound } => uniform(stream, shape, bound),
            // A copy: parameters are changed in place.
            Self::Value(value) => value.to_kind(Kind::Float).copy(),
        }
    }
}

fn uniform(stream: &mut Stream, shape: &[i64], bound: f64) -> Tensor {
    let mut numbers = vec![0.0; shape.iter().product::<i64>() as usize];
    stream.fill_unit(&mut numbers);
    (Tensor::from_slice(&numbers).reshape(shape) * 2.0 - 1.0) * bound
}

fn normal(stream: &mut Stream, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let numbers: Vec<f32> = (0..count).map(|_| stream.normal() as f32).collect();
    Tensor::from_slice(&numbers).reshape(shape)
}

fn truncated_normal(stream: &mut Stream, shape: &[i64], std: f64) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let mut inside = || loop {
        let number = stream.normal() * std;
        if number.abs() <= 2.0 {
            return number as f32;
        }
    };
    let numbers: Vec<f32> = (0..count).map(|_| inside()).collect();
    Tensor::from_slice(&numbers).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_depends_on_seed_and_name_only() {
        let make = |seed, before: bool| {
            let mut parameters = Parameters::new(seed, Device::Cpu);
            if before {
                let _ = parameters.root().parameter("other", &[3], Init::Normal(1.0));
            }
            parameters.root().child("fc").parameter("weight", &[4, 5], Init::XavierUniform)
        };
        assert_eq!(make(1, false), make(1, true));
        assert_ne!(make(1, false), make(2, false));
    }

    #[test]
    fn xavier_stays_inside_its_bound_and_reaches_for_it() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = parameters.root().parameter("w", &[64, 32], Init::XavierUniform);
        let largest = weight.abs().max().double_value(&[]);
        let bound = (6.0f64 / 96.0).sqrt();
        assert!(largest <= bound && largest > 0.99 * bound, "{largest} {bound}");
    }

    #[test]
    fn tables_are_saved_and_not_trained() {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let table = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
        assert!(!parameters.root().buffer("pos_embed", &table).requires_grad());
        assert_eq!(parameters.count(), 2);
        assert_eq!(parameters.trainable().count(), 0);
    }

    #[test]
    fn an_outline_has_shapes_and_no_memory() {
        let mut parameters = Parameters::shapes_only();
        let weight = parameters.root().parameter("w", &[1 << 20, 1 << 20], Init::Normal(1.0));
        assert_eq!(weight.size(), [1 << 20, 1 << 20]);
        assert_eq!(parameters.count(), 1 << 40);
    }
}
