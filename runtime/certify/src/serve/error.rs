//! Why a model is not served, or a call not answered.

use mimir_bundle::bundle::BundleError;
use mimir_bundle::policy::Verdict;
use mimir_data::DataError;
use mimir_runtime::session::EngineError;

/// Why a model is not served, or a call not answered. `Display` is one or two sentences.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An argument that cannot be: a length, a number, a policy that asks for nothing.
    #[error("{0}")]
    Argument(String),
    /// The bundle cannot be read, or has a fault.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle does not meet the policy.
    #[error("{place}: the policy is not met: {}", unmet(.verdict))]
    Refused {
        /// Where the bundle is.
        place: String,
        /// Every requirement.
        verdict: Verdict,
    },
    /// The model cannot be read, or cannot be served.
    #[error("{place}: {error}")]
    Model {
        /// Where the bundle is.
        place: String,
        /// What is wrong with it.
        error: mimir_export::Error,
    },
    /// A picture cannot become an input of the model.
    #[error(transparent)]
    Picture(#[from] DataError),
    /// The model could need more memory than it may.
    #[error(
        "the model with {rows} images a call needs {needed} bytes or more, the limit is {limit}: lower the largest batch, or \
         raise the limit"
    )]
    Memory {
        /// Images of a call.
        rows: usize,
        /// Bytes of weights and of values that are needed at the same time.
        needed: u64,
        /// What was allowed.
        limit: u64,
    },
    /// The engine is not there, refuses the model, fails, or was stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file beside the model cannot be read or written.
    #[error("{what}: {error}")]
    Io {
        /// Which file.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The requirements that are not met, in one line.
fn unmet(verdict: &Verdict) -> String {
    let unmet = verdict.requirements().iter().filter(|requirement| !requirement.met);
    let texts: Vec<String> = unmet
        .map(|requirement| {
            let (part, name) = (&requirement.part, &requirement.name);
            format!("{part}: {name}: wanted {}, found {}", requirement.wanted, requirement.found)
        })
        .collect();
    texts.join("; ")
}
