//! Views of a report: what stands in `report.json`, in the forms that people and other programs read.
//!
//! Everything here is a function of values that were read already: nothing is run, no file is opened, and the same values
//! give the same bytes. Reports may come from anyone, so a view shows text of others as text, whatever it says.
//!
//! | function | view |
//! | --- | --- |
//! | [`compare`] | what differs between two reports of the same images, with an exact paired test |
//! | [`html`] | a page that needs nothing else: figures, tables, pictures |
//! | [`junit`] | requirements as test cases, in JUnit XML |
//! | [`sarif`] | requirements that are not met, and warnings, in SARIF 2.1.0 |
//! | [`summary`] | a page of Markdown for the summary of a pipeline |
#![forbid(unsafe_code)]

mod answer;
pub mod compare;
mod criteria;
pub mod html;
mod junit;
mod sarif;
mod summary;
#[cfg(test)]
mod testing;

pub use answer::{Answer, Shown};
pub use junit::junit;
pub use sarif::sarif;
pub use summary::{failure_summary, summary};
