//! What extra passes found.

/// What extra passes found. Images are positions in the evaluation set, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Experiments {
    /// All images asked for again, in the same batches.
    pub repeated: Option<Compared>,
    /// All images asked for again, from the other end: in other batches, and in other rows of them.
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compared {
    /// How many.
    pub images: usize,
    /// Those whose class or logits differ by more than rounding.
    pub different: Vec<usize>,
    /// Those whose logits are equal up to rounding, and not to the last bit.
    pub rounded: Vec<usize>,
    /// How far logits of the latter are apart at most.
    pub rounding: f32,
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

/// What the gradient promises at an image that nothing broke, and what happens there. The loss is a linear function of the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// The image, by its position in the set.
    pub image: usize,
    /// By how much a step of length ε along the largest slopes raises the loss, by the gradient.
    pub promised: f64,
    /// By how much it does.
    pub kept: f64,
    /// The most by which the loss can differ between two points of the ball, by the gradient.
    pub most: f64,
    /// How far it is from that of a random point as far out as the ball goes.
    pub elsewhere: f64,
    /// How much of a change rounding may explain.
    pub rounding: f64,
}

/// Changes that are fewer times what rounding may explain say nothing.
const BEYOND_ROUNDING: f64 = 10.0;
/// Shares of the promise between which a step is honest: honest networks kept at least 0.73 in the
/// median of their images, sine waves that hid most of what falls 0.22 to 0.48.
const LEAST_KEPT: f64 = 0.5;
const MOST_KEPT: f64 = 5.0;
/// How many times more than it can, by the gradient, an honest loss may differ elsewhere.
const MOST_ELSEWHERE: f64 = 2.0;

impl Promise {
    /// Whether something can be said: a change that is promised, or found elsewhere, is more than rounding explains.
    fn is_judged(&self) -> bool {
        self.says() || self.exceeds()
    }

    fn says(&self) -> bool {
        self.promised > BEYOND_ROUNDING * self.rounding
    }

    fn exceeds(&self) -> bool {
        self.elsewhere > (MOST_ELSEWHERE * self.most).max(BEYOND_ROUNDING * self.rounding)
    }

    /// Whether the gradient misleads there.
    fn is_broken(&self) -> bool {
        let share = self.kept / self.promised;
        (self.says() && !(LEAST_KEPT..=MOST_KEPT).contains(&share)) || self.exceeds()
    }
}

/// What gradients promise at some images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FirstOrder {
    /// One for each image whose loss says something.
    pub promises: Vec<Promise>,
    /// Images whose loss does not: it is saturated, or a number is not finite.
    pub left_out: usize,
}

/// Share of the images from which broken promises are those of the model.
const MISLEADING: f64 = 0.25;
/// Fewest images that show it.
const FEWEST: usize = 3;

impl FirstOrder {
    /// Images of which something can be said.
    pub fn judged(&self) -> usize {
        self.promises.iter().filter(|promise| promise.is_judged()).count()
    }

    /// Images at which the gradient misleads, in the order of the set.
    pub fn broken(&self) -> Vec<usize> {
        let broken = self.promises.iter().filter(|promise| promise.is_broken());
        broken.map(|promise| promise.image).collect()
    }

    /// Share of the promise that a step keeps, in the median of the images where one is made; none where none is.
    pub fn kept(&self) -> Option<f64> {
        let said = self.promises.iter().filter(|promise| promise.says());
        let mut shares: Vec<f64> = said.map(|promise| promise.kept / promise.promised).collect();
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied()
    }

    /// Whether gradients mislead at so many images that it is the model's nature.
    pub fn misleads(&self) -> bool {
        let broken = self.broken().len();
        broken >= FEWEST && broken as f64 > MISLEADING * self.judged() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(promised: f64, kept: f64) -> Promise {
        Promise { image: 0, promised, kept, most: 10.0, elsewhere: 1.0, rounding: 1e-3 }
    }

    #[test]
    fn a_promise_is_broken_by_far_less_by_far_more_and_by_what_it_did_not_allow() {
        for (kept, broken) in [
            (1.0, false),
            (0.51, false),
            (4.9, false),
            (0.48, true),
            (0.22, true),
            (-1.0, true),
            (0.0, true),
            (5.1, true),
        ] {
            assert_eq!(promise(1.0, kept).is_broken(), broken, "{kept}");
        }
        let elsewhere = |elsewhere| Promise { elsewhere, ..promise(1.0, 1.0) };
        assert!(!elsewhere(19.0).is_broken() && elsewhere(21.0).is_broken());
    }

    /// A radius so small that rounding hides every change says nothing, and neither does a flat loss.
    #[test]
    fn what_rounding_explains_is_not_judged() {
        let small = promise(9e-3, 0.0);
        assert!(!small.is_judged() && !small.is_broken());
        let flat = Promise { promised: 0.0, kept: 0.0, most: 0.0, elsewhere: 9e-3, ..promise(0.0, 0.0) };
        assert!(!flat.is_judged() && !flat.is_broken());
        // It is flat by its gradient only.
        let step = Promise { elsewhere: 0.5, ..flat };
        assert!(step.is_judged() && step.is_broken());
    }

    #[test]
    fn a_model_misleads_where_more_than_a_quarter_of_three_images_or_more_do() {
        let first_order = |broken: usize, honest: usize| {
            let kept = [vec![0.0; broken], vec![1.0; honest]].concat();
            let promises = kept.into_iter().enumerate();
            let promises = promises.map(|(image, kept)| Promise { image, ..promise(1.0, kept) });
            FirstOrder { promises: promises.collect(), left_out: 0 }
        };
        for (broken, honest, misleads) in
            [(0, 8, false), (2, 0, false), (3, 0, true), (3, 8, true), (3, 9, false), (8, 24, false)]
        {
            assert_eq!(first_order(broken, honest).misleads(), misleads, "{broken} {honest}");
        }
        assert_eq!(first_order(3, 4).broken(), [0, 1, 2]);
        assert_eq!((first_order(3, 4).kept(), first_order(0, 0).kept()), (Some(1.0), None));
    }
}
