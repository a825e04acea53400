//! Vision Transformers with random weights, for benches and tests that must not depend on a file.
//!
//! The architecture is that of Dosovitskiy et al. 2021 (section 3.1) as timm and torchvision export it: patches by a
//! strided Conv, a class token, learned positions, pre-norm blocks with one projection for query, key and value, exact
//! Gelu, a linear head on the normalised class token. Axes in comments: `N` images, `T` tokens, `D` width, `H` heads,
//! `d = D/H`.

use mimir_bundle::tensor_names;

use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::random::Numbers;
use crate::tensor::{DataType, Tensor};

/// The first opset with a Gelu operator.
const OPSET: u32 = 20;

/// Standard deviation of linear weights, tokens and positions, as in the published initialisation.
const WEIGHT_DEVIATION: f32 = 0.02;

/// `ε` of every LayerNormalization, as in the published models.
const EPSILON: f32 = 1e-6;

/// Sizes of a Vision Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitConfig {
    /// Height and width of an image in pixels.
    pub image_size: usize,
    /// Height and width of a patch in pixels; divides `image_size`.
    pub patch_size: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Width of a token, `D`.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads, `H`; divides `dim`.
    pub heads: usize,
    /// Width of the hidden layer of each block, as a multiple of `dim`.
    pub mlp_ratio: usize,
    /// Number of classes, `K`.
    pub classes: usize,
}

impl VitConfig {
    /// ViT-T with patches of 4 on 32 × 32 images in ten classes: 65 tokens, 5.4 million parameters.
    pub const TINY_CIFAR10: Self = Self {
        image_size: 32,
        patch_size: 4,
        channels: 3,
        dim: 192,
        depth: 12,
        heads: 3,
        mlp_ratio: 4,
        classes: 10,
    };

    fn check(&self) -> Result<()> {
        let sizes = [
            self.image_size,
            self.patch_size,
            self.channels,
            self.dim,
            self.heads,
            self.mlp_ratio,
            self.classes,
        ];
        if sizes.contains(&0) {
            return Err(Error::shape(format!("a size of zero in {self:?}")));
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            return Err(Error::shape(format!(
                "patches of {} do not tile {} pixels",
                self.patch_size, self.image_size
            )));
        }
        if !self.dim.is_multiple_of(self.heads) {
            return Err(Error::shape(format!("{} heads do not divide a width of {}", self.heads, self.dim)));
        }
        Ok(())
    }

    fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// A Vision Transformer from `images` `[N, C, S, S]` to `logits` `[N, K]`, with weights drawn from `seed`.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) when a size is zero or does not divide what it must.
pub fn vit(config: VitConfig, seed: u64) -> Result<Graph> {
    config.check()?;
    let mut graph = Graph::new("vit", OPSET);
    let size = Dim::Fixed(config.image_size);
    let shape = Shape(vec![Dim::N, Dim::Fixed(config.channels), size, size]);
    let images =
        graph.add_value(tensor_names::IMAGES, Some(TensorType { dtype: DataType::Float32, shape }))?;
    graph.add_input(images);
    let mut model =
        Model { builder: Builder::new(&mut graph, "embedding"), numbers: Numbers::new(seed), config };
    let mut tokens = model.embedding(images)?;
    for index in 0..config.depth {
        model.builder.set_prefix(format!("block{index}/attention"));
        tokens = model.attention(tokens)?;
        model.builder.set_prefix(format!("block{index}/mlp"));
        tokens = model.mlp(tokens)?;
    }
    model.builder.set_prefix("head");
    let logits = model.head(tokens)?;
    graph.rename(logits, tensor_names::LOGITS)?;
    graph.add_output(logits);
    Ok(graph)
}

/// The network under construction.
struct Model<'g> {
    builder: Builder<'g>,
    numbers: Numbers,
    config: VitConfig,
}

impl Model<'_> {
    /// `[N, C, S, S] → [N, T, D]`
    fn embedding(&mut self, images: ValueId) -> Result<ValueId> {
        let VitConfig { patch_size, channels, dim, .. } = self.config;
        let fan_in = channels * patch_size * patch_size;
        let kernel = self.weight(&[dim, channels, patch_size, patch_size], (fan_in as f32).sqrt().recip());
        let bias = self.filled(dim, 0.0);
        let stride = vec![patch_size as i64; 2];
        let patches = self.builder.op_with("Conv", &[images, kernel, bias], [("strides", stride.into())])?;
        let patches = self.reshape(patches, &[-1, dim as i64, self.config.patches() as i64])?; // [N, D, T − 1]
        let patches = self.transpose(patches, &[0, 2, 1])?; // [N, T − 1, D]
        let class_token = self.class_token(images)?; // [N, 1, D]
        let tokens = self.builder.op_with("Concat", &[class_token, patches], [("axis", 1.into())])?;
        let positions = self.weight(&[1, self.config.patches() + 1, dim], WEIGHT_DEVIATION);
        self.builder.op("Add", &[tokens, positions])
    }

    /// The learned class token, repeated for every image, `[N, 1, D]`.
    fn class_token(&mut self, images: ValueId) -> Result<ValueId> {
        let dim = self.config.dim;
        let token = self.weight(&[1, 1, dim], WEIGHT_DEVIATION);
        let batch = self.builder.op_with("Shape", &[images], [("start", 0.into()), ("end", 1.into())])?;
        let rest = self.builder.ints(&[1, dim as i64]);
        let shape = self.builder.op_with("Concat", &[batch, rest], [("axis", 0.into())])?;
        self.builder.op("Expand", &[token, shape])
    }

    /// `x + projection(softmax(q·kᵀ/√d)·v)`
    fn attention(&mut self, x: ValueId) -> Result<ValueId> {
        let VitConfig { dim, heads, .. } = self.config;
        let normed = self.norm(x)?;
        let qkv = self.linear(normed, dim, 3 * dim)?; // [N, T, 3·D]
        let [q, k, v] = self.split_qkv(qkv)?;
        let scale = self.builder.scalar(((dim / heads) as f32).sqrt().recip());
        let q = self.builder.op("Mul", &[q, scale])?;
        let q = self.heads(q, &[0, 2, 1, 3])?; // [N, H, T, d]
        let k = self.heads(k, &[0, 2, 3, 1])?; // [N, H, d, T]
        let v = self.heads(v, &[0, 2, 1, 3])?; // [N, H, T, d]
        let scores = self.builder.op("MatMul", &[q, k])?; // [N, H, T, T]
        let probabilities = self.builder.op_with("Softmax", &[scores], [("axis", (-1).into())])?;
        let context = self.builder.op("MatMul", &[probabilities, v])?; // [N, H, T, d]
        let context = self.transpose(context, &[0, 2, 1, 3])?;
        let context = self.reshape(context, &[-1, self.tokens(), dim as i64])?; // [N, T, D]
        let projected = self.linear(context, dim, dim)?;
        self.builder.op("Add", &[x, projected])
    }

    /// `x + W₂·gelu(W₁·norm(x))`
    fn mlp(&mut self, x: ValueId) -> Result<ValueId> {
        let VitConfig { dim, mlp_ratio, .. } = self.config;
        let normed = self.norm(x)?;
        let hidden = self.linear(normed, dim, mlp_ratio * dim)?;
        let hidden = self.builder.op("Gelu", &[hidden])?;
        let output = self.linear(hidden, mlp_ratio * dim, dim)?;
        self.builder.op("Add", &[x, output])
    }

    /// `[N, T, D] → [N, K]`. The norm acts on each token alone, so only the class token needs it.
    fn head(&mut self, tokens: ValueId) -> Result<ValueId> {
        let VitConfig { dim, classes, .. } = self.config;
        let first = self.builder.constant(Tensor::from_i64(&[], &[0]));
        let token = self.builder.op_with("Gather", &[tokens, first], [("axis", 1.into())])?; // [N, D]
        let normed = self.norm(token)?;
        let weight = self.weight(&[dim, classes], WEIGHT_DEVIATION);
        let bias = self.filled(classes, 0.0);
        self.builder.op("Gemm", &[normed, weight, bias])
    }

    fn norm(&mut self, x: ValueId) -> Result<ValueId> {
        let (scale, bias) = (self.filled(self.config.dim, 1.0), self.filled(self.config.dim, 0.0));
        self.builder.op_with("LayerNormalization", &[x, scale, bias], [("epsilon", EPSILON.into())])
    }

    fn linear(&mut self, x: ValueId, inputs: usize, outputs: usize) -> Result<ValueId> {
        let weight = self.weight(&[inputs, outputs], WEIGHT_DEVIATION);
        let bias = self.filled(outputs, 0.0);
        let product = self.builder.op("MatMul", &[x, weight])?;
        self.builder.op("Add", &[product, bias])
    }

    /// Query, key and value, `[N, T, D]` each.
    fn split_qkv(&mut self, qkv: ValueId) -> Result<[ValueId; 3]> {
        let sizes = self.builder.ints(&[self.config.dim as i64; 3]);
        let attributes = crate::graph::Attributes::from_pairs([("axis", 2.into())]);
        let parts = self.builder.node("Split", vec![Some(qkv), Some(sizes)], attributes, 3)?;
        Ok([parts[0], parts[1], parts[2]])
    }

    /// `[N, T, D] → [N, T, H, d]`, transposed.
    fn heads(&mut self, x: ValueId, permutation: &[i64]) -> Result<ValueId> {
        let VitConfig { dim, heads, .. } = self.config;
        let split = self.reshape(x, &[-1, self.tokens(), heads as i64, (dim / heads) as i64])?;
        self.transpose(split, permutation)
    }

    fn tokens(&self) -> i64 {
        self.config.patches() as i64 + 1
    }

    fn reshape(&mut self, x: ValueId, dims: &[i64]) -> Result<ValueId> {
        let dims = self.builder.ints(dims);
        self.builder.op("Reshape", &[x, dims])
    }

    fn transpose(&mut self, x: ValueId, permutation: &[i64]) -> Result<ValueId> {
        self.builder.op_with("Transpose", &[x], [("perm", permutation.to_vec().into())])
    }

    fn weight(&mut self, dims: &[usize], deviation: f32) -> ValueId {
        let count = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|_| deviation * self.numbers.normal()).collect();
        self.builder.constant(Tensor::from_f32(dims, &values))
    }

    fn filled(&mut self, size: usize, value: f32) -> ValueId {
        self.builder.constant(Tensor::from_f32(&[size], &vec![value; size]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: VitConfig = VitConfig {
        image_size: 4,
        patch_size: 2,
        channels: 1,
        dim: 4,
        depth: 1,
        heads: 2,
        mlp_ratio: 2,
        classes: 3,
    };

    #[test]
    fn the_tiny_model_has_the_published_size() {
        let graph = vit(VitConfig { depth: 1, ..VitConfig::TINY_CIFAR10 }, 0).unwrap();
        let floats = graph.constants().filter(|(_, tensor)| tensor.dtype() == DataType::Float32);
        let parameters: usize =
            floats.map(|(_, tensor)| tensor.elements()).filter(|elements| *elements > 1).sum();
        // One block of 444,864 (attention 148,224, mlp 295,872, norms 768), embedding 22,080, head 2,314.
        assert_eq!(parameters, 444_864 + 22_080 + 2_314);
    }

    #[test]
    fn weights_depend_on_the_seed_alone() {
        assert_eq!(vit(SMALL, 1).unwrap(), vit(SMALL, 1).unwrap());
        assert_ne!(vit(SMALL, 1).unwrap(), vit(SMALL, 2).unwrap());
    }

    #[test]
    fn logits_follow_the_batch() {
        let graph = vit(SMALL, 0).unwrap();
        assert_eq!(graph.shape(graph.outputs()[0]).unwrap().to_string(), "[N, 3]");
    }

    #[test]
    fn sizes_must_divide() {
        let refused = |config: VitConfig| vit(config, 0).unwrap_err().to_string();
        assert_eq!(refused(VitConfig { patch_size: 3, ..SMALL }), "patches of 3 do not tile 4 pixels");
        assert_eq!(refused(VitConfig { heads: 3, ..SMALL }), "3 heads do not divide a width of 4");
        assert!(refused(VitConfig { dim: 0, ..SMALL }).starts_with("a size of zero in VitConfig"));
    }
}
