//! The margins of clean images and counterexamples in float64: what of a verdict exists in rounding alone.

use std::sync::{Mutex, OnceLock, PoisonError};

use mimir_bundle::tensor_names;
use mimir_runtime::model::Float64Margins;
use mimir_runtime::session::{Data, Input, RawSession, SessionOptions};

use super::CalibratedModel;

/// The model in float64, opened when the first margin is asked for: its weights take twice the memory of the file's.
pub(crate) struct Float64Model<'m> {
    model: &'m CalibratedModel,
    /// None where the graph or the engine knows no float64 for an operator.
    session: OnceLock<Option<Mutex<RawSession>>>,
}

impl CalibratedModel {
    /// The model in float64.
    pub(crate) fn float64(&self) -> Float64Model<'_> {
        Float64Model { model: self, session: OnceLock::new() }
    }
}

impl Float64Model<'_> {
    fn open(&self) -> Option<Mutex<RawSession>> {
        let graph = self.model.classifier.margin_onnx().ok()?;
        let options = SessionOptions { threads: self.model.plan.threads, ..SessionOptions::default() };
        RawSession::new(&self.model.engine, &graph, options).ok().map(Mutex::new)
    }
}

impl Float64Margins for Float64Model<'_> {
    /// Where the model takes a fixed number of images, copies of the last fill it up.
    fn margins(&self, images: &[&[f32]], labels: &[usize]) -> Option<Vec<Option<f32>>> {
        let session = self.session.get_or_init(|| self.open()).as_ref()?;
        let shape = self.model.manifest().image;
        let rows = self.model.manifest().batch.rows().unwrap_or(images.len());
        let last = images.len().checked_sub(1)?;
        let row = |row: usize| row.min(last);
        let pixels: Vec<f32> = (0..rows).flat_map(|index| images[row(index)]).copied().collect();
        let labels: Vec<i64> = (0..rows).map(|index| labels[row(index)] as i64).collect();
        let dims = [rows, shape.channels, shape.height, shape.width];
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&pixels) },
            Input { name: tensor_names::LABELS, dims: &dims[..1], data: Data::I64(&labels) },
        ];
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let margins = session.run(&inputs).ok().and_then(|mut outputs| outputs.pop())?;
        let margins = margins.data.get(..images.len())?;
        Some(margins.iter().map(|margin| margin.is_finite().then_some(*margin)).collect())
    }

    fn batch(&self) -> usize {
        self.model.manifest().batch.rows().unwrap_or(self.model.plan.batch.max(1))
    }
}
