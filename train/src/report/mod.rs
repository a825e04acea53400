//! What runs have reached: a table in Markdown and a plot, with the paper's numbers beside ours.
//!
//! | module | what |
//! | --- | --- |
//! | [`found`](find) | evaluations below a folder of runs |
//! | [`table`] | one row for each method: mean ± spread over its seeds |

mod found;
mod summary;
mod table;

pub use found::{ReportError, RunResult, find};
pub use summary::{Column, Method, Spread, Summary};
