//! CaiT (Touvron et al., arXiv 2103.17239; timm `cait.py`).
//!
//! The patches go through blocks with talking heads and LayerScale; then two class-attention blocks let the class token
//! read them and leave them as they are. In pre-training the latent is the class token after those two blocks, then the
//! visible patches, so that the class-attention blocks learn from the decoder, which sees the class token.

use tch::{Kind, Tensor};

use crate::model::attention::{attend, split_heads};
use crate::model::drop_path::{self, DropPath};
use crate::model::encoder::Encoder;
use crate::model::layers::{LayerNorm, Linear, Mlp};
use crate::model::mask::Mask;
use crate::model::patch_embed::PatchEmbed;
use crate::model::{Architecture, position};
use crate::parameters::{Init, Scope};

/// Class-attention blocks after the others.
const CLASS_BLOCKS: i64 = 2;

/// Patches, positions, blocks, class token, class-attention blocks.
#[derive(Debug)]
pub(super) struct Cait {
    patch_embed: PatchEmbed,
    class_token: Tensor,
    positions: Tensor, // [1, L, D]
    blocks: Vec<LayerScaleBlock>,
    class_blocks: Vec<ClassBlock>,
}

impl Cait {
    /// Under `cls_token`, `pos_embed`, `patch_embed.proj`, `blocks.N` and `blocks_token_only.N`. Positions are trained in
    /// pre-training too; the class token has none.
    pub(super) fn new(scope: &mut Scope<'_>, architecture: &Architecture, compute: Kind) -> Self {
        let (side, width) = (architecture.grid_size(), architecture.width);
        let scheme = scope.scheme();
        let class_token = scope.parameter("cls_token", &[1, 1, width], scheme.late_class_token());
        let table = position::sin_cos(side, side, width);
        let positions = scope.parameter("pos_embed", &table.size(), scheme.positions(table));
        let patch_embed = PatchEmbed::new(scope, architecture, compute);
        let sizes = BlockSizes {
            width,
            heads: architecture.heads,
            scale: layer_scale_init(architecture.depth),
            compute,
        };
        let blocks = layer_scale_blocks(scope.child("blocks"), architecture.depth, sizes);
        let mut token_only = scope.child("blocks_token_only");
        let class_blocks = (0..CLASS_BLOCKS).map(|i| ClassBlock::new(token_only.child(i), sizes)).collect();
        Self { patch_embed, class_token, positions, blocks, class_blocks }
    }
}

/// Initial value of LayerScale in a network of that depth (section 2 of the CaiT paper).
pub(super) fn layer_scale_init(depth: i64) -> f32 {
    match depth {
        ..=18 => 0.1,
        19..=24 => 1e-5,
        _ => 1e-6,
    }
}

impl Encoder for Cait {
    fn embed(&self, images: &Tensor, mask: Option<&Mask>) -> Tensor {
        &self.positions + self.patch_embed.forward(images, mask)
    }

    // Stochastic depth is for the blocks over patches; the class-attention blocks are always kept (timm).
    fn encode(&self, tokens: &Tensor, _ids: Option<&Tensor>, drop_path: Option<&DropPath>) -> Tensor {
        let mut x = tokens.shallow_clone();
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, drop_path, i);
        }
        let mut class_token = self.class_token.expand([tokens.size()[0], -1, -1], false);
        for block in &self.class_blocks {
            class_token = block.forward(&class_token, &x);
        }
        Tensor::cat(&[&class_token, &x], 1) // [N, 1 + T, D]
    }
}

/// What the blocks of one stack have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockSizes {
    /// Width of a token.
    pub(super) width: i64,
    /// Attention heads.
    pub(super) heads: i64,
    /// Initial value of LayerScale.
    pub(super) scale: f32,
    /// Kind of the matrix products.
    pub(super) compute: Kind,
}

/// `depth` blocks under 0, 1, ….
pub(super) fn layer_scale_blocks(
    mut scope: Scope<'_>,
    depth: i64,
    sizes: BlockSizes,
) -> Vec<LayerScaleBlock> {
    (0..depth).map(|i| LayerScaleBlock::new(scope.child(i), sizes)).collect()
}

/// `x + gamma_1·attn(norm1(x))`, then `x + gamma_2·mlp(norm2(x))`.
#[derive(Debug)]
pub(super) struct LayerScaleBlock {
    scales: LayerScale,
    norm1: LayerNorm,
    attn: TalkingHeads,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl LayerScaleBlock {
    fn new(mut scope: Scope<'_>, sizes: BlockSizes) -> Self {
        let BlockSizes { width, compute, .. } = sizes;
        Self {
            scales: LayerScale::new(&mut scope, sizes),
            norm1: LayerNorm::new(scope.child("norm1"), width),
            attn: TalkingHeads::new(scope.child("attn"), sizes),
            norm2: LayerNorm::new(scope.child("norm2"), width),
            mlp: Mlp::new(scope.child("mlp"), width, 4 * width, compute),
        }
    }

    /// `[N, T, D]` to the same shape; `index` is the block's place for stochastic depth.
    pub(super) fn forward(&self, x: &Tensor, drop_path: Option<&DropPath>, index: usize) -> Tensor {
        let branch = self.attn.forward(&self.norm1.forward(x)) * &self.scales.attention;
        let x = drop_path::add(x, &branch, drop_path, index, 0);
        let branch = self.mlp.forward(&self.norm2.forward(&x)) * &self.scales.mlp;
        drop_path::add(&x, &branch, drop_path, index, 1)
    }
}

/// A factor for each channel of the two branches, `[D]`.
#[derive(Debug)]
struct LayerScale {
    attention: Tensor,
    mlp: Tensor,
}

impl LayerScale {
    fn new(scope: &mut Scope<'_>, sizes: BlockSizes) -> Self {
        let start = || Init::Value(Tensor::full([sizes.width], f64::from(sizes.scale), tch::kind::FLOAT_CPU));
        let attention = scope.parameter("gamma_1", &[sizes.width], start());
        let mlp = scope.parameter("gamma_2", &[sizes.width], start());
        Self { attention, mlp }
    }
}

/// Attention whose heads exchange scores before the softmax (`proj_l`) and weights after it (`proj_w`).
#[derive(Debug)]
struct TalkingHeads {
    qkv: Linear,
    proj: Linear,
    scores: HeadProjection,
    weights: HeadProjection,
    heads: i64,
}

impl TalkingHeads {
    fn new(mut scope: Scope<'_>, sizes: BlockSizes) -> Self {
        let BlockSizes { width, heads, compute, .. } = sizes;
        let scheme = scope.scheme();
        Self {
            qkv: Linear::new(scope.child("qkv"), width, 3 * width, scheme.linear(), compute),
            proj: Linear::new(scope.child("proj"), width, width, scheme.linear(), compute),
            scores: HeadProjection::new(scope.child("proj_l"), heads),
            weights: HeadProjection::new(scope.child("proj_w"), heads),
            heads,
        }
    }

    /// `[N, T, D]` to the same shape. The heads talk, so libtorch's fused kernel does not fit.
    fn forward(&self, x: &Tensor) -> Tensor {
        let (n, t, d) = (x.size()[0], x.size()[1], x.size()[2]);
        let qkv = split_heads(&self.qkv.forward(x), 3, self.heads);
        let scale = ((d / self.heads) as f64).powf(-0.5);
        let scores = self.scores.forward(&qkv[0].matmul(&qkv[1].transpose(2, 3)), scale); // [N, heads, T, T]
        let weights = self.weights.forward(&scores.softmax(-1, Kind::Float).to_kind(scores.kind()), 1.0);
        self.proj.forward(&weights.matmul(&qkv[2]).transpose(1, 2).reshape([n, t, d]))
    }
}

/// A Linear over the axis of heads.
#[derive(Debug)]
struct HeadProjection {
    weight: Tensor, // [heads, heads]
    bias: Tensor,   // [heads]
}

impl HeadProjection {
    fn new(mut scope: Scope<'_>, heads: i64) -> Self {
        let init = scope.scheme().linear();
        let weight = scope.parameter("weight", &[heads, heads], init);
        let bias = scope.parameter("bias", &[heads], Init::Zeros);
        Self { weight, bias }
    }

    /// `scale` times `[N, heads, T, T]` to the same shape. As a product with `[heads, T·T]`, which needs no transposed
    /// copy.
    fn forward(&self, x: &Tensor, scale: f64) -> Tensor {
        let (n, heads) = (x.size()[0], x.size()[1]);
        let weight = self.weight.to_kind(x.kind()).expand([n, heads, heads], false);
        let bias = self.bias.to_kind(x.kind()).unsqueeze(1);
        bias.baddbmm(&weight, &x.flatten(2, 3), 1.0, scale).reshape(x.size())
    }
}

/// A class-attention block: queries come from the class token alone, and only the class token is updated.
#[derive(Debug)]
struct ClassBlock {
    scales: LayerScale,
    norm1: LayerNorm,
    attn: ClassAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl ClassBlock {
    fn new(mut scope: Scope<'_>, sizes: BlockSizes) -> Self {
        let BlockSizes { width, compute, .. } = sizes;
        Self {
            scales: LayerScale::new(&mut scope, sizes),
            norm1: LayerNorm::new(scope.child("norm1"), width),
            attn: ClassAttention::new(scope.child("attn"), sizes),
            norm2: LayerNorm::new(scope.child("norm2"), width),
            mlp: Mlp::new(scope.child("mlp"), width, 4 * width, compute),
        }
    }

    /// Class token `[N, 1, D]` and patches `[N, T, D]` to the new class token.
    fn forward(&self, class_token: &Tensor, x: &Tensor) -> Tensor {
        let tokens = Tensor::cat(&[class_token, x], 1);
        let class_token =
            class_token + self.attn.forward(&self.norm1.forward(&tokens)) * &self.scales.attention;
        let branch = self.mlp.forward(&self.norm2.forward(&class_token)) * &self.scales.mlp;
        class_token + branch
    }
}

/// Attention from the first token to all.
#[derive(Debug)]
struct ClassAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    proj: Linear,
    heads: i64,
}

impl ClassAttention {
    fn new(mut scope: Scope<'_>, sizes: BlockSizes) -> Self {
        let BlockSizes { width, heads, compute, .. } = sizes;
        let scheme = scope.scheme();
        let mut linear = |name| Linear::new(scope.child(name), width, width, scheme.linear(), compute);
        Self { q: linear("q"), k: linear("k"), v: linear("v"), proj: linear("proj"), heads }
    }

    /// `[N, 1 + T, D]` to `[N, 1, D]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        let split = |x: Tensor| split_heads(&x, 1, self.heads).remove(0);
        let query = split(self.q.forward(&x.narrow(1, 0, 1)));
        let mixed = attend(&query, &split(self.k.forward(x)), &split(self.v.forward(x)));
        self.proj.forward(&mixed.transpose(1, 2).flatten(2, 3)) // [N, 1, heads, head_dim]
    }
}
