//! What a gradient graph is fed beside the images: exactly the inputs that the row of its loss declares.

use mimir_bundle::{Loss, LossInput};

use super::{Data, Input};
use crate::loss::at_logits;
use crate::model::LabelAndTarget;

/// The inputs of the gradient graph of one loss, reused from call to call.
#[derive(Debug)]
pub(super) struct LossInputs {
    loss: Loss,
    declared: &'static [LossInput],
    /// `[R]`
    labels: Vec<i64>,
    /// `[R]`
    targets: Vec<i64>,
    /// `[R, K]`
    cotangent: Vec<f32>,
    /// `[R]`: those of the rows that were given one, then zeros.
    radii: Vec<f32>,
    /// `[K]`: the logits of [`Self::fill_cotangent`], all zero.
    zeros: Vec<f32>,
    /// `[K]`: a derivative that nobody asks for.
    unused: Vec<f32>,
    /// `[R]`, and of the cotangent `[R, K]`.
    dims: [usize; 2],
}

impl LossInputs {
    /// Those of a loss, for logits of `classes` classes.
    pub(super) fn new(loss: Loss, classes: usize) -> Self {
        Self::declared(loss, loss.inputs(), classes)
    }

    fn declared(loss: Loss, declared: &'static [LossInput], classes: usize) -> Self {
        let (labels, targets, cotangent) = (Vec::new(), Vec::new(), Vec::new());
        let (zeros, unused) = (vec![0.0; classes], vec![0.0; classes]);
        let radii = Vec::new();
        Self { loss, declared, labels, targets, cotangent, radii, zeros, unused, dims: [0, classes] }
    }

    /// The radius of each of the first rows, for the next batch.
    pub(super) fn set_radii(&mut self, radii: &[f32]) {
        self.radii.clear();
        self.radii.extend_from_slice(radii);
    }

    /// The inputs for one batch, in the order of the row.
    pub(super) fn fill(&mut self, pairs: &[LabelAndTarget]) -> impl Iterator<Item = Input<'_>> {
        self.dims[0] = pairs.len();
        for input in self.declared {
            match input {
                LossInput::Labels => {
                    self.labels.clear();
                    self.labels.extend(pairs.iter().map(|pair| pair.label as i64));
                }
                LossInput::Targets => {
                    self.targets.clear();
                    self.targets.extend(pairs.iter().map(|pair| target(pair) as i64));
                }
                LossInput::Cotangent => self.fill_cotangent(pairs),
                LossInput::Radius => self.radii.resize(pairs.len(), 0.0),
            }
        }
        self.declared.iter().map(|input| {
            let (dims, data) = match input {
                LossInput::Labels => (&self.dims[..1], Data::I64(&self.labels)),
                LossInput::Targets => (&self.dims[..1], Data::I64(&self.targets)),
                LossInput::Cotangent => (&self.dims[..], Data::F32(&self.cotangent)),
                LossInput::Radius => (&self.dims[..1], Data::F32(&self.radii)),
            };
            Input { name: input.name(), dims, data }
        })
    }

    /// The derivative of a loss that is fed its cotangent does not depend on the logits: any will do.
    fn fill_cotangent(&mut self, pairs: &[LabelAndTarget]) {
        let classes = self.dims[1];
        self.cotangent.resize(pairs.len() * classes, 0.0);
        for (row, pair) in self.cotangent.chunks_mut(classes).zip(pairs) {
            at_logits(self.loss, &self.zeros, with_target(pair), row);
        }
    }

    /// The loss of one image, which a graph that is fed the cotangent does not compute.
    pub(super) fn at_logits(&mut self, logits: &[f32], pair: &LabelAndTarget) -> f32 {
        at_logits(self.loss, logits, with_target(pair), &mut self.unused)
    }
}

/// Rows that fill up a batch may have no target: towards its own label nothing moves.
fn target(pair: &LabelAndTarget) -> usize {
    pair.target.unwrap_or(pair.label)
}

fn with_target(pair: &LabelAndTarget) -> LabelAndTarget {
    LabelAndTarget { label: pair.label, target: Some(target(pair)) }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::tensor_names::{COTANGENT, LABELS, RADIUS, TARGETS};

    use super::*;

    const PAIRS: [LabelAndTarget; 2] =
        [LabelAndTarget { label: 1, target: Some(2) }, LabelAndTarget { label: 0, target: None }];

    fn integers(input: &Input) -> Vec<i64> {
        match input.data {
            Data::I64(values) => values.to_vec(),
            Data::F32(_) => panic!("{input:?}"),
        }
    }

    /// Whatever the loss is called.
    #[test]
    fn a_graph_is_fed_what_the_row_of_its_loss_declares() {
        for loss in [Loss::CrossEntropy, Loss::TargetedDlr] {
            let mut both = LossInputs::declared(loss, &[LossInput::Labels, LossInput::Targets], 3);
            let inputs: Vec<Input> = both.fill(&PAIRS).collect();
            let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
            assert_eq!(names, [LABELS, TARGETS], "{loss:?}");
            assert_eq!(inputs.iter().map(integers).collect::<Vec<_>>(), [[1, 0], [2, 0]], "{loss:?}");
            assert!(inputs.iter().all(|input| input.dims == [2]));
            let mut labels = LossInputs::declared(loss, &[LossInput::Labels], 3);
            let names: Vec<&str> = labels.fill(&PAIRS).map(|input| input.name).collect();
            assert_eq!(names, [LABELS], "{loss:?}");
        }
    }

    #[test]
    fn rows_without_a_radius_have_none() {
        let mut relaxed = LossInputs::new(Loss::RelaxedMargin, 3);
        for (given, want) in
            [(&[0.25_f32][..], [0.25, 0.0]), (&[], [0.0, 0.0]), (&[0.5, 1.0, 2.0], [0.5, 1.0])]
        {
            relaxed.set_radii(given);
            let inputs: Vec<Input> = relaxed.fill(&PAIRS).collect();
            assert_eq!((inputs[1].name, inputs[1].dims), (RADIUS, &[2][..]));
            let Data::F32(radii) = inputs[1].data else { panic!("{inputs:?}") };
            assert_eq!(radii, want);
        }
    }

    #[test]
    fn the_cotangent_of_the_margin_points_from_the_label_to_the_target() {
        let mut margin = LossInputs::new(Loss::Margin, 3);
        let inputs: Vec<Input> = margin.fill(&PAIRS).collect();
        assert_eq!((inputs.len(), inputs[0].name, inputs[0].dims), (1, COTANGENT, &[2, 3][..]));
        let Data::F32(cotangent) = inputs[0].data else { panic!("{inputs:?}") };
        assert_eq!(cotangent, [0.0, -1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(margin.at_logits(&[4.0, 1.0, 3.0], &PAIRS[0]), 2.0);
    }
}
