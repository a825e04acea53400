//! Names of the inputs and outputs of prepared graphs: what writes a graph and what runs it must spell them alike.

/// Input: pixels in `[0, 1]`, `f32 [N, C, H, W]`.
pub const IMAGES: &str = "images";

/// Input: true classes, `i64 [N]`.
pub const LABELS: &str = "labels";

/// Input: classes that a targeted loss draws towards, `i64 [N]`.
pub const TARGETS: &str = "targets";

/// Input: `∂loss/∂logits`, `f32 [N, K]`.
pub const COTANGENT: &str = "cotangent";

/// Output: `f32 [N, K]`.
pub const LOGITS: &str = "logits";

/// Output: one loss for each image, `f32 [N]`.
pub const LOSS: &str = "loss";

/// Output: the gradient of each image's own loss, `f32 [N, C, H, W]`.
pub const IMAGES_GRADIENT: &str = "images_gradient";

/// The names of gradient graphs that forward graphs do not have.
pub const OF_GRADIENT_GRAPHS: [&str; 5] = [LABELS, TARGETS, COTANGENT, LOSS, IMAGES_GRADIENT];
