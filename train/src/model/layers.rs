//! The layers that all networks share, over named parameters.
//!
//! `compute` is the kind that matrix products run in: float32, or bfloat16 against float32 weights. As in PyTorch's
//! autocast, Linear, convolutions and attention take their inputs and weights in that kind; normalisation, sums along the
//! residual path and losses stay in float32.

use tch::{Kind, Tensor};

use crate::parameters::{Init, ProductWeight, Scope};

/// `x · weightᵀ + bias` over the last axis.
#[derive(Debug)]
pub(super) struct Linear {
    weight: ProductWeight,
    bias: Option<ProductWeight>,
    compute: Kind,
}

impl Linear {
    /// With weight `[output, input]` from `init` and a bias of zeros.
    pub(super) fn new(mut scope: Scope<'_>, input: i64, output: i64, init: Init, compute: Kind) -> Self {
        let weight = scope.product_weight("weight", &[output, input], init, compute);
        let bias = Some(scope.product_weight("bias", &[output], Init::Zeros, compute));
        Self { weight, bias, compute }
    }

    /// Without a bias.
    pub(super) fn without_bias(
        mut scope: Scope<'_>,
        input: i64,
        output: i64,
        init: Init,
        compute: Kind,
    ) -> Self {
        let weight = scope.product_weight("weight", &[output, input], init, compute);
        Self { weight, bias: None, compute }
    }

    /// `[…, input]` to `[…, output]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let bias = self.bias.as_ref().map(ProductWeight::cast);
        x.to_kind(self.compute).linear(&self.weight.cast(), bias.as_ref())
    }
}

/// Convolution with a bias.
#[derive(Debug)]
pub(super) struct Conv2d {
    weight: ProductWeight,
    bias: ProductWeight,
    stride: i64,
    padding: i64,
    compute: Kind,
}

/// Side length, stride and zero padding of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvGeometry {
    /// Side length of the kernel.
    pub(super) kernel: i64,
    /// Distance between windows.
    pub(super) stride: i64,
    /// Zeros on every side.
    pub(super) padding: i64,
}

impl Conv2d {
    /// The convolution over patches.
    pub(super) fn patches(scope: Scope<'_>, channels: i64, width: i64, patch: i64, compute: Kind) -> Self {
        let geometry = ConvGeometry { kernel: patch, stride: patch, padding: 0 };
        let [weight, bias] = scope.scheme().patches(channels * patch * patch);
        Self::new(scope, channels, width, geometry, weight, bias, compute)
    }

    /// With weight `[output, input, kernel, kernel]`.
    pub(super) fn new(
        mut scope: Scope<'_>,
        input: i64,
        output: i64,
        geometry: ConvGeometry,
        weight: Init,
        bias: Init,
        compute: Kind,
    ) -> Self {
        let shape = [output, input, geometry.kernel, geometry.kernel];
        let weight = scope.product_weight("weight", &shape, weight, compute);
        let bias = scope.product_weight("bias", &[output], bias, compute);
        Self { weight, bias, stride: geometry.stride, padding: geometry.padding, compute }
    }

    /// `[N, input, H, W]` to `[N, output, H', W']`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.cast(), self.bias.cast());
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x.to_kind(self.compute).conv2d(&weight, Some(&bias), stride, padding, [1, 1], 1)
    }
}

/// Layer normalisation over the last axis, eps 1e-6, in float32.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// Scale 1 and shift 0.
    pub(super) fn new(mut scope: Scope<'_>, width: i64) -> Self {
        let weight = scope.parameter("weight", &[width], Init::Ones);
        let bias = scope.parameter("bias", &[width], Init::Zeros);
        Self { weight, bias }
    }

    /// Any shape that ends in `width`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let width = self.weight.size();
        x.to_kind(Kind::Float).layer_norm(&width, Some(&self.weight), Some(&self.bias), 1e-6, true)
    }
}

/// Two Linears with the exact (erf) GELU between them.
#[derive(Debug)]
pub(super) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// `width` to `hidden` and back, under `fc1` and `fc2`.
    pub(super) fn new(mut scope: Scope<'_>, width: i64, hidden: i64, compute: Kind) -> Self {
        let scheme = scope.scheme();
        let fc1 = Linear::new(scope.child("fc1"), width, hidden, scheme.linear(), compute);
        let fc2 = Linear::new(scope.child("fc2"), hidden, width, scheme.linear(), compute);
        Self { fc1, fc2 }
    }

    /// `[N, T, D]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.fc1.forward(x).gelu("none"))
    }
}
