//! A classifier: an encoder, pooling and a linear head.

use tch::{Kind, Tensor};

use crate::model::build::build_encoder;
use crate::model::encoder::{Encoder, Positions};
use crate::model::layers::{LayerNorm, Linear};
use crate::model::{Architecture, DropPath, Pooling};
use crate::parameters::{Init, Scope};

/// Encoder, pooling and head.
#[derive(Debug)]
pub struct Classifier {
    encoder: Box<dyn Encoder>,
    pooling: Pooling,
    norm: LayerNorm,
    head: Linear,
}

impl Classifier {
    /// Under timm's names, with learned positions. `head_std` is the standard deviation of the initial weights of the
    /// head.
    pub fn new(
        scope: &mut Scope<'_>,
        architecture: &Architecture,
        pooling: Pooling,
        classes: i64,
        head_std: f64,
        compute: Kind,
    ) -> Self {
        let encoder = build_encoder(scope, architecture, Positions::Learned, compute);
        let norm_name = match pooling {
            Pooling::Mean => "fc_norm",
            Pooling::ClassToken => "norm",
        };
        let norm = LayerNorm::new(scope.child(norm_name), architecture.width);
        let init = Init::TruncatedNormal(head_std);
        let head = Linear::new(scope.child("head"), architecture.width, classes, init, compute);
        Self { encoder, pooling, norm, head }
    }

    /// Logits `[N, K]` float32 of images `[N, 3, H, W]` in `[0, 1]`.
    pub fn logits(&self, images: &Tensor, drop_path: Option<&DropPath>) -> Tensor {
        let tokens = self.encoder.encode(&self.encoder.embed(images, None), None, drop_path);
        let pooled = match self.pooling {
            Pooling::Mean => tokens.narrow(1, 1, tokens.size()[1] - 1).mean_dim(1, false, Kind::Float),
            Pooling::ClassToken => tokens.select(1, 0),
        };
        self.head.forward(&self.norm.forward(&pooled)).to_kind(Kind::Float)
    }
}
