//! What a session is told: options, inputs, outputs. The same for every engine.

use std::path::PathBuf;
use std::time::Instant;

use super::LogSink;

/// How much an engine rewrites a graph before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Optimisation {
    /// Nothing.
    Disabled,
    /// Only what keeps the meaning exactly: folding, removal of dead nodes. rten has no such level and does everything.
    Basic,
    /// Fusions and memory layout too: the default.
    #[default]
    All,
}

impl Optimisation {
    /// The word that a certificate records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Basic => "basic",
            Self::All => "all",
        }
    }
}

/// In which numbers the kernels of a session may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Float32,
    /// Factors of matrix products in bfloat16 where the processor multiplies such numbers faster
    /// ([`has_bfloat16_products`](crate::processor::has_bfloat16_products)); everything else in 32-bit floats. On x86-64 graphs are
    /// written for it; on aarch64 ONNX Runtime does it in any graph.
    Mixed,
}

impl Precision {
    /// The word of the command line and of journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Mixed => "mixed",
        }
    }
}

/// How a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads inside an operator, at least 1. With 1 the caller's own thread does all the work.
    pub threads: usize,
    /// Graph rewriting.
    pub optimisation: Optimisation,
    /// Numbers.
    pub precision: Precision,
    /// Nodes beside the device.
    pub host_nodes: HostNodes,
    /// Whether threads that wait for work keep their cores busy: quicker for one session alone, slower for several.
    pub spinning: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            optimisation: Optimisation::default(),
            precision: Precision::default(),
            host_nodes: HostNodes::default(),
            spinning: false,
        }
    }
}

/// Whether nodes may run on the processor where the session's device is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostNodes {
    /// One that would is an error: for graphs that we made, which have no arithmetic on shapes.
    #[default]
    Refused,
    /// ONNX Runtime may place them there, as it does with the arithmetic on shapes that exporters write.
    Allowed,
}

/// The elements of an input.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

/// A named input tensor, borrowed for one run.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// Dimensions.
    pub dims: &'a [usize],
    /// Elements, row-major; as many as the dimensions say.
    pub data: Data<'a>,
}

/// A named output tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name in the graph.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Elements, row-major.
    pub data: Vec<f32>,
}

/// Where an output is written to.
#[derive(Debug)]
pub struct OutputBuffer<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// The dimensions that it must have.
    pub dims: &'a [usize],
    /// As many elements as the dimensions say, row-major.
    pub data: &'a mut [f32],
}

/// How a shared session runs.
#[derive(Debug, Clone, Default)]
pub struct SharedOptions {
    /// As of other sessions.
    pub session: SessionOptions,
    /// The beginning of the name of a file that ONNX Runtime writes a profile to; none is written where absent.
    pub profile: Option<PathBuf>,
    /// Where messages go; nowhere where absent.
    pub log: Option<LogSink>,
    /// When the session must have been built.
    pub deadline: Option<Instant>,
}
