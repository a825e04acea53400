//! Line charts as SVG, and the curves of runs.
//!
//! A [`Figure`] is a column of panels; each has its axes, its legend and its series. Files are text without scripts, with
//! a title and a description for screen readers, and readable on light and dark pages.
//!
//! ```
//! use mimir_train::plot::{Axis, Dash, Figure, Panel, Series};
//!
//! let points = (0..50).map(|step| (f64::from(step), 1.0 / f64::from(step + 1))).collect();
//! let series = Series { name: "loss".into(), points, colour: 0, dash: Dash::Solid };
//! let panel = Panel {
//!     title: String::new(),
//!     x: Axis::linear("step"),
//!     y: Axis::log("loss"),
//!     series: vec![series],
//! };
//! let figure = Figure { title: "A run".into(), description: "Loss by step.".into(), panels: vec![panel] };
//! assert!(figure.svg().starts_with("<svg "));
//! ```

mod error;
mod figure;
mod log;
pub mod runs;
mod scale;
mod svg;

pub use self::error::PlotError;
pub use self::figure::{Dash, Figure, Panel, Series};
pub use self::scale::{Axis, Scale};
