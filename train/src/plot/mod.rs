//! Line charts as SVG, and the curves of runs.
//!
//! A [`Figure`] is a column of panels, [`Bars`] are groups of bars. Each panel has its axes, its legend and its series. Files have no scripts, and a title
//! and a description for screen readers.
//!
//! ```
//! use mimir_train::plot::{Figure, Panel, Scale, Series, Stroke};
//!
//! let points = (0..50).map(|step| (f64::from(step), 1.0 / f64::from(step + 1))).collect();
//! let series = Series { name: "loss".into(), points, colour: 0, stroke: Stroke::Solid };
//! let panel = Panel {
//!     title: String::new(),
//!     x_label: "step".into(),
//!     y_label: "loss".into(),
//!     y_scale: Scale::Log,
//!     y_ends: None,
//!     series: vec![series],
//! };
//! let figure = Figure { title: "A run".into(), description: "Loss by step.".into(), panels: vec![panel] };
//! assert!(figure.svg()?.starts_with("<svg "));
//! # Ok::<(), mimir_train::plot::PlotError>(())
//! ```

mod bars;
mod draw;
mod error;
mod figure;
mod legend;
mod log;
pub mod runs;

pub use self::bars::{Bar, BarGroup, Bars};
pub use self::error::PlotError;
pub use self::figure::{Figure, Panel, Scale, Series, Stroke};
