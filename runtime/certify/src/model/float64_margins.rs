//! The margins of counterexamples in float64: which of them exist in rounding alone.

use mimir_bundle::tensor_names;
use mimir_runtime::Archive;
use mimir_runtime::evaluate::{Ending, Evaluation, Verdict};
use mimir_runtime::journal::CounterexampleStore;
use mimir_runtime::session::{Data, Input, RawSession, SessionOptions};

use super::CalibratedModel;
use crate::error::{ErrorKind, OrKind, Result};

/// A counterexample whose pixels are kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    image: usize,
    label: usize,
    slot: u64,
}

impl CalibratedModel {
    /// Writes `margin_float64` into the verdict of each broken image whose counterexample is in the archive. Does nothing
    /// for an interrupted run, for a model with random operators, and where the engine has no float64 for the model.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when a counterexample cannot be read back.
    pub fn measure_in_float64(&self, evaluation: &mut Evaluation, archive: &Archive) -> Result<()> {
        let Some(store) = archive.counterexamples() else { return Ok(()) };
        if evaluation.ending == Ending::Interrupted || !self.classifier.random_operators().is_empty() {
            return Ok(());
        }
        let kept = kept(evaluation);
        let Some(mut session) = (!kept.is_empty()).then(|| self.float64_session()).flatten() else {
            return Ok(());
        };
        let rows = self.manifest().batch.rows().unwrap_or(self.plan.batch.max(1));
        for chunk in kept.chunks(rows) {
            let Some(margins) = self.float64_margins(&mut session, chunk, store)? else { return Ok(()) };
            for (kept, found) in chunk.iter().zip(margins) {
                if let Verdict::Broken { margin_float64, .. } = &mut evaluation.outcomes[kept.image].verdict {
                    *margin_float64 = found.is_finite().then_some(found);
                }
            }
        }
        Ok(())
    }

    /// None where the graph or the engine knows no float64 for an operator.
    fn float64_session(&self) -> Option<RawSession> {
        let graph = self.classifier.margin_onnx().ok()?;
        let options = SessionOptions { threads: self.plan.threads, ..SessionOptions::default() };
        RawSession::new(&self.engine, &graph, options).ok()
    }

    /// One margin for each of `chunk`; none where the engine fails. Where the model takes a fixed number of images, copies
    /// fill it up.
    fn float64_margins(
        &self,
        session: &mut RawSession,
        chunk: &[Kept],
        store: &CounterexampleStore,
    ) -> Result<Option<Vec<f32>>> {
        let shape = self.manifest().image;
        let rows = self.manifest().batch.rows().unwrap_or(chunk.len());
        let mut pixels = vec![0.0; rows * shape.pixels()];
        let mut labels = Vec::with_capacity(rows);
        let filled = chunk.iter().chain(chunk.iter().rev().cycle());
        for (kept, row) in filled.zip(pixels.chunks_mut(shape.pixels())) {
            store.read(kept.slot, row).or_kind(ErrorKind::Storage)?;
            labels.push(kept.label as i64);
        }
        let dims = [rows, shape.channels, shape.height, shape.width];
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&pixels) },
            Input { name: tensor_names::LABELS, dims: &dims[..1], data: Data::I64(&labels) },
        ];
        let margins = session.run(&inputs).ok().and_then(|mut outputs| outputs.pop());
        Ok(margins.map(|output| output.data).filter(|margins| margins.len() == rows))
    }
}

fn kept(evaluation: &Evaluation) -> Vec<Kept> {
    let pairs = evaluation.outcomes.iter().zip(&evaluation.slots).enumerate();
    let broken = pairs.filter_map(|(image, (outcome, slot))| match outcome.verdict {
        Verdict::Broken { .. } => slot.map(|slot| Kept { image, label: outcome.label, slot }),
        _ => None,
    });
    broken.collect()
}
