//! The losses that gradient graphs are made for, one row each: what its graph takes, and how many classes it compares.
//!
//! Attacks maximise a loss. Symbols: `z` the logits, `[K]`; `y` the label; `t` the target; `z_(r)` the r-th largest
//! logit.
//!
//! | loss | formula | inputs beside `images` | classes | source |
//! | --- | --- | --- | --- | --- |
//! | `CrossEntropy` | `log Σ_k exp z_k − z_y` | `labels` | 2 | Goodfellow et al. 2015 |
//! | `Dlr` | `(max_{j≠y} z_j − z_y) / (z_(1) − z_(3) + 1e-12)` | `labels` | 3 | Croce and Hein 2020, equation 6 |
//! | `TargetedDlr` | `(z_t − z_y) / (z_(1) − ½(z_(3) + z_(4)) + 1e-12)` | `labels`, `targets` | 4 | Croce and Hein 2020, equation 7 |
//! | `Margin` | `z_t − z_y` | `cotangent` | 2 | Carlini and Wagner 2017 |
//! | `RelaxedMargin` | `z_t − z_y`, its gradient through secants of activations | `cotangent`, `radius` | 2 | Ehlers 2017 |
//!
//! A graph has the inputs that its row lists, in that order, after `images`, and whoever runs it feeds exactly those.
//! With `labels` or `targets` it computes the loss; with `cotangent` it is told the derivative of the loss by the
//! logits, which must then not depend on them, and whoever runs it computes the loss. The names are those of
//! [`tensor_names`](crate::tensor_names). Labels and targets must lie in `[0, K)`, which the caller checks: the graph
//! counts `-K..0` from the last class, as OneHot does, and takes any other number for "no class".
//!
//! `docs/adding-a-loss.md` has the steps to a new one.

use crate::tensor_names;

/// An input of a gradient graph beside the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossInput {
    /// The true class of each image, `i64 [N]`.
    Labels,
    /// The class that each image is drawn towards, `i64 [N]`.
    Targets,
    /// The derivative of the loss by the logits, `f32 [N, K]`.
    Cotangent,
    /// Half the side of the box over which activations are replaced by their secants, in pixels, `f32 [N]`.
    Radius,
}

impl LossInput {
    /// Its name in the graph.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Labels => tensor_names::LABELS,
            Self::Targets => tensor_names::TARGETS,
            Self::Cotangent => tensor_names::COTANGENT,
            Self::Radius => tensor_names::RADIUS,
        }
    }
}

/// Writes the enum, the list of its variants and the columns of the table from one row for each loss, so that no loss
/// can be in one of them and not in the others.
macro_rules! losses {
    ($($(#[$documentation:meta])* $loss:ident: takes [$($input:ident),+], compares $classes:literal classes;)+) => {
        /// A loss that gradient graphs are made for. Attacks maximise it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Loss {
            $($(#[$documentation])* $loss,)+
        }

        impl Loss {
            /// Every loss.
            pub const ALL: &[Self] = &[$(Self::$loss),+];

            /// The inputs of its gradient graph after the images, in the order of the graph.
            pub const fn inputs(self) -> &'static [LossInput] {
                match self {
                    $(Self::$loss => &[$(LossInput::$input),+],)+
                }
            }

            /// Fewest classes that it is defined for.
            pub const fn min_classes(self) -> usize {
                match self {
                    $(Self::$loss => $classes,)+
                }
            }
        }
    };
}

losses! {
    /// Cross-entropy `log Σ_k exp z_k − z_y`, computed stably.
    CrossEntropy: takes [Labels], compares 2 classes;
    /// Difference of logits ratio `(max_{j≠y} z_j − z_y) / (z_(1) − z_(3) + 1e-12)` (Croce and Hein 2020).
    Dlr: takes [Labels], compares 3 classes;
    /// Difference of logits ratio towards a target, `(z_t − z_y) / (z_(1) − ½(z_(3) + z_(4)) + 1e-12)` (Croce and Hein
    /// 2020).
    TargetedDlr: takes [Labels, Targets], compares 4 classes;
    /// Difference of the logits of target and label, `z_t − z_y`. Its graph serves any other loss whose derivative by
    /// the logits is known beforehand.
    Margin: takes [Cotangent], compares 2 classes;
    /// The same loss, with a stand-in for its gradient: activations that are flat over stretches of their input, such
    /// as ReLU, pass the slope of their secant over a box around the image (Ehlers 2017, the triangle relaxation). So
    /// gradients see units that are off at the image and on elsewhere in the box.
    RelaxedMargin: takes [Cotangent, Radius], compares 2 classes;
}

impl Loss {
    /// Its name in flags and in names of files: `gradient-targeted-dlr.onnx`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Dlr => "dlr",
            Self::TargetedDlr => "targeted-dlr",
            Self::Margin => "margin",
            Self::RelaxedMargin => "relaxed-margin",
        }
    }

    /// The loss of that name; none where there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|loss| loss.name() == name)
    }

    /// Whether its gradient graph replaces activations by their secants.
    pub fn is_relaxed(self) -> bool {
        self.inputs().contains(&LossInput::Radius)
    }

    /// Whether its gradient graph computes it. Otherwise the graph is fed the derivative of the loss by the logits.
    pub fn is_computed_by_its_graph(self) -> bool {
        !self.inputs().contains(&LossInput::Cotangent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of this file's documentation.
    #[test]
    fn the_documented_table_is_the_one_in_force() {
        let rows = include_str!("loss.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let rows: Vec<(&str, &str, usize)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split(" | ").collect();
                (cells[0].trim_end_matches('`'), cells[2], cells[3].parse().unwrap())
            })
            .collect();
        assert_eq!(rows.len(), Loss::ALL.len());
        for (loss, (name, inputs, classes)) in Loss::ALL.iter().zip(rows) {
            let names: Vec<String> =
                loss.inputs().iter().map(|input| format!("`{}`", input.name())).collect();
            assert_eq!(
                (format!("{loss:?}").as_str(), names.join(", ").as_str(), loss.min_classes()),
                (name, inputs, classes)
            );
        }
    }

    #[test]
    fn a_graph_is_told_the_classes_or_the_cotangent() {
        for loss in Loss::ALL {
            let has = |input| loss.inputs().contains(&input);
            assert_ne!(
                has(LossInput::Labels) || has(LossInput::Targets),
                has(LossInput::Cotangent),
                "{loss:?}"
            );
            assert_eq!(loss.is_computed_by_its_graph(), !has(LossInput::Cotangent), "{loss:?}");
        }
    }
}
