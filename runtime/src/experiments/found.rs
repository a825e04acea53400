//! What extra passes found.

/// What extra passes found. Images are positions in the evaluation set, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Experiments {
    /// All images asked for again, in the same batches.
    pub repeated: Option<Compared>,
    /// All images asked for again, in batches from the other end.
    pub regrouped: Option<Compared>,
    /// How much scores change under small noise.
    pub stability: Option<Stability>,
    /// An attack of the evaluation with twice its steps, on images that nothing broke.
    pub doubled: Option<Stronger>,
    /// The same attack from other random points.
    pub restarted: Option<Stronger>,
    /// One step along the gradient, on images that nothing broke.
    pub one_step: Option<Stronger>,
    /// Random points, around images that nothing broke.
    pub noise: Option<NoisePoints>,
    /// One attack within several radii, from the smallest.
    pub radii: Vec<BrokenWithin>,
    /// The same attack with no limit but the box.
    pub unconstrained: Option<Unconstrained>,
}

/// Images whose logits were compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// How many.
    pub images: usize,
    /// Those whose class or logits differ by more than rounding.
    pub different: Vec<usize>,
}

/// What another attack found on images that nothing broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stronger {
    /// Its name.
    pub attack: String,
    /// Images that it was run on.
    pub images: usize,
    /// Those that it broke.
    pub broken: Vec<usize>,
}

/// What random points found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisePoints {
    /// Images.
    pub images: usize,
    /// Points of the ball around each, half of them as far out as it goes.
    pub points: usize,
    /// Images with a point that the original model misclassifies.
    pub broken: Vec<usize>,
}

/// How much the margins of images change under small noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Stability {
    /// Random offsets of each image.
    pub offsets: usize,
    /// Largest change of a pixel.
    pub reach: f64,
    /// Of each image, the mean of `|m(x + d) - m(x)| / |m(x)|`, at most 1 each.
    pub changes: Vec<(usize, f64)>,
}

impl Stability {
    /// Mean over the images.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.changes.iter().map(|(_, change)| change).sum();
        sum / self.changes.len().max(1) as f64
    }

    /// Images whose margin changes by more than that share.
    pub fn above(&self, share: f64) -> Vec<usize> {
        self.changes.iter().filter(|(_, change)| *change > share).map(|(image, _)| *image).collect()
    }
}

/// Images that are broken within a radius.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenWithin {
    /// The radius, as a multiple of that of the threat model.
    pub factor: f64,
    /// Images that were attacked.
    pub images: usize,
    /// Those that were broken.
    pub broken: Vec<usize>,
}

/// What an attack without a limit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconstrained {
    /// Its name.
    pub attack: String,
    /// Images that it was run on.
    pub images: usize,
    /// Those that it did not break.
    pub left: Vec<usize>,
}
