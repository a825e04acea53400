//! rten, the engine that is a part of the program: with the files of `rten/` the only ones that name it.
//!
//! It is pure Rust and always there, so that the command works on a machine without ONNX Runtime. It computes in 32-bit
//! floats and integers whatever types a file has, and it takes some forms of operators for others without a word:
//! [`limits`] refuses those before it sees them.

mod adapt;
mod failure;
mod limits;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rten::{LoadError, Model, ModelOptions, NodeId, RunError, RunErrorKind, RunOptions, ThreadPool};
use rten::{Value, ValueOrView};
use rten_onnx::onnx::ModelProto;
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use self::adapt::Named;
pub(super) use self::failure::VERSION;
use self::failure::failed;
use super::{Data, EngineError, Input, Optimisation, SessionOptions};

/// A session of rten.
pub(super) struct RtenSession {
    model: Model,
    /// In the order of the graph.
    outputs: Vec<(NodeId, String)>,
    /// Nodes by the names that they have for rten.
    nodes: BTreeMap<String, Named>,
    pool: Arc<ThreadPool>,
}

impl std::fmt::Debug for RtenSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtenSession").field("model", &self.model).finish_non_exhaustive()
    }
}

impl RtenSession {
    /// Builds a session over our own serialisation of a graph.
    pub(super) fn new(model: &[u8], options: SessionOptions) -> Result<Self, EngineError> {
        let mut proto = guarded(|| ModelProto::parse_buf(model))?.map_err(|error| failed(&error))?;
        limits::check(&proto)?;
        let nodes = adapt::adapt(&mut proto);
        let bytes = proto.write_buf().map_err(|error| failed(&error))?;
        drop(proto);
        let model = load(bytes, options, &nodes)?;
        let outputs = model.output_ids().iter().map(|id| (*id, value_name(&model, *id))).collect();
        // A pool of its own: sessions side by side must not wait for each other.
        let pool = Arc::new(ThreadPool::with_num_threads(options.threads.max(1)));
        Ok(Self { model, outputs, nodes, pool })
    }

    /// Runs the model and shows each output to `visit`.
    pub(super) fn run_with(
        &self,
        inputs: &[Input],
        mut visit: impl FnMut(&str, &[usize], &[f32]),
    ) -> Result<(), EngineError> {
        let values = inputs.iter().map(|input| self.value(input)).collect::<Result<Vec<_>, EngineError>>()?;
        let outputs: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let ran = guarded(|| self.model.run(values, &outputs, Some(options)))?;
        let values = ran.map_err(|error| run_error(&error, &self.nodes))?;
        for ((_, name), value) in self.outputs.iter().zip(values) {
            let Value::FloatTensor(tensor) = value else { return Err(EngineError::OutputType(name.clone())) };
            let tensor = tensor.into_contiguous();
            visit(name, tensor.shape(), tensor.data());
        }
        Ok(())
    }

    fn value<'a>(&self, input: &Input<'a>) -> Result<(NodeId, ValueOrView<'a>), EngineError> {
        let id = self.model.node_id(input.name).map_err(|error| failed(&error))?;
        let is_input = self.model.input_ids().contains(&id);
        if !is_input {
            return Err(failed(&format!("`{}` is not an input of the model", input.name)));
        }
        let misfit = |count: usize| {
            let (name, dims) = (input.name, input.dims);
            failed(&format!(
                "input `{name}` has {count} elements, which does not match its dimensions {dims:?}"
            ))
        };
        let value = match input.data {
            Data::F32(data) => {
                TensorView::try_from_data(input.dims, data).map_err(|_| misfit(data.len()))?.into()
            }
            Data::I64(data) => {
                let narrow = data.iter().map(|value| i32::try_from(*value)).collect::<Result<Vec<i32>, _>>();
                let narrow = narrow.map_err(|_| {
                    failed(&format!(
                        "input `{}` has an integer that does not fit into the 32 bits of rten",
                        input.name
                    ))
                })?;
                Tensor::try_from_data(input.dims, narrow).map_err(|_| misfit(data.len()))?.into()
            }
        };
        Ok((id, value))
    }
}

/// The model in memory, its constants folded.
fn load(
    bytes: Vec<u8>,
    options: SessionOptions,
    nodes: &BTreeMap<String, Named>,
) -> Result<Model, EngineError> {
    let mut load = ModelOptions::with_all_ops();
    load.enable_optimization(options.optimisation != Optimisation::Disabled);
    // Folding runs operators: see `guarded`.
    guarded(|| load.load(bytes))?.map_err(|error| load_error(&error, nodes))
}

/// Runs rten's code, and makes an error of a panic.
///
/// rten checks what it is given and answers with errors, but does not promise never to panic: kernels assert their own
/// arithmetic (an index, a size), and loading does `expect` that names resolve. Its models are immutable and its pool
/// passes a panic on to the caller, so a session stays whole.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        failed(&format!("panicked: {text}"))
    })
}

fn value_name(model: &Model, id: NodeId) -> String {
    model.node_info(id).and_then(|info| info.name().map(str::to_owned)).unwrap_or_default()
}

fn load_error(error: &LoadError, nodes: &BTreeMap<String, Named>) -> EngineError {
    match error.node() {
        Some(node) => unsupported(node, &error.to_string(), nodes),
        None => failed(error),
    }
}

fn run_error(error: &RunError, nodes: &BTreeMap<String, Named>) -> EngineError {
    match (error.kind(), error.node_path().first()) {
        (RunErrorKind::OperatorError, Some(Some(node))) => unsupported(node, &error.to_string(), nodes),
        _ => failed(error),
    }
}

fn unsupported(node: &str, what: &str, nodes: &BTreeMap<String, Named>) -> EngineError {
    let (node, what) = match nodes.get(node) {
        Some(Named { name, operator }) => (name.clone(), format!("{operator}: {}", what.replace(node, name))),
        None => (node.to_owned(), what.to_owned()),
    };
    EngineError::Unsupported { version: VERSION, node, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("name = \"rten\"\nversion = \"{VERSION}\"\n")));
    }

    #[test]
    fn bytes_that_are_no_model_are_an_error() {
        for bytes in [&b"not a model"[..], b""] {
            let error = RtenSession::new(bytes, SessionOptions::default()).unwrap_err();
            assert!(matches!(error, EngineError::Failed { .. }), "{error}");
        }
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let error = guarded(|| assert!(VERSION.is_empty(), "index {} of {}", 3, 2)).unwrap_err();
        assert_eq!(error.to_string(), "rten: panicked: index 3 of 2");
    }
}
