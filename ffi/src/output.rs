//! Structures that are written into memory of the caller. They never grow.

use mimir_certify::serve::Answer;

use crate::input::Plain;

/// `mimir_prediction` of the header.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct mimir_prediction {
    /// The class; -1 where the logits mean none.
    pub class_index: i32,
    /// 1 where the margin is below the one that was asked for, or there is no class; else 0.
    pub abstained: i32,
    /// Share of the class; NaN where there is none.
    pub probability: f32,
    /// Score of the class less the next; NaN where there is none.
    pub margin: f32,
}

impl Plain for mimir_prediction {}

impl mimir_prediction {
    pub(crate) fn new(answer: Answer, least_margin: f32) -> Self {
        let class_index = answer.class.and_then(|class| i32::try_from(class).ok()).unwrap_or(-1);
        let is_clear = class_index >= 0 && answer.margin.is_some_and(|margin| margin >= least_margin);
        Self {
            class_index,
            abstained: i32::from(!is_clear),
            probability: answer.probability.unwrap_or(f32::NAN),
            margin: answer.margin.unwrap_or(f32::NAN),
        }
    }
}

/// `mimir_interval` of the header.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct mimir_interval {
    /// Share of the images.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Confidence of the interval.
    pub confidence: f64,
}
