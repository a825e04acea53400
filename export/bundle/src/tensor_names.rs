//! Names of the inputs and outputs of prepared graphs: what writes a graph and what runs it must spell them alike.

/// Input: pixels in `[0, 1]`, `f32 [N, C, H, W]`.
pub const IMAGES: &str = "images";

/// Input: true classes, `i64 [N]`.
pub const LABELS: &str = "labels";

/// Input: classes that a targeted loss draws towards, `i64 [N]`.
pub const TARGETS: &str = "targets";

/// Input: `∂loss/∂logits`, `f32 [N, K]`.
pub const COTANGENT: &str = "cotangent";

/// Input: half the side of the box that activations are relaxed over, in pixels, `f32 [N]`.
pub const RADIUS: &str = "radius";

/// Inputs: how far the weights are moved along each of two directions, `f32 [1]`.
pub const FIRST_DIRECTION: &str = "first_direction";
/// See [`FIRST_DIRECTION`].
pub const SECOND_DIRECTION: &str = "second_direction";

/// Output: for each activation the share of units that are constant on the whole box, `f32 [N, A]`.
pub const INACTIVE: &str = "inactive";

/// Output: for each activation the share of units whose derivative at the image is zero, `f32 [N, A]`.
pub const SILENT: &str = "silent";

/// Output: `f32 [N, K]`.
pub const LOGITS: &str = "logits";

/// Inside the networks that we build: the encoder's tokens before the final normalisation and the head, `f32 [N, T, D]`;
/// the first one is the class token. Not an output, so it costs nothing: who needs it makes it one.
///
/// Output of a graph that is cut open at a tensor: its values, `f32 [N, F]`.
pub const FEATURES: &str = "features";

/// Input of a graph that is cut open at a tensor: `∂loss/∂features`, `f32 [N, F]`.
pub const FEATURES_COTANGENT: &str = "features_cotangent";

/// Output of graphs whose [`LOGITS`] are scores before the last operators of the file, where these make scores equal
/// that differ: what the file returns, `f32 [N, K]`.
pub const RETURNED: &str = "returned";

/// The names of the outputs of forward graphs, in their order; few have the second.
pub const OF_SEARCH_GRAPHS: [&str; 2] = [LOGITS, RETURNED];

/// Output: the score of the label less the highest of the others, `f32 [N]`.
pub const MARGIN: &str = "margin";

/// Output: one loss for each image, `f32 [N]`.
pub const LOSS: &str = "loss";

/// Output: the gradient of each image's own loss, `f32 [N, C, H, W]`.
pub const IMAGES_GRADIENT: &str = "images_gradient";

/// The names of gradient graphs that forward graphs do not have.
pub const OF_GRADIENT_GRAPHS: [&str; 7] =
    [LABELS, TARGETS, COTANGENT, FEATURES_COTANGENT, RADIUS, LOSS, IMAGES_GRADIENT];
