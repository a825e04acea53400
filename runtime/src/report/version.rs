//! The version of `report.json`.

/// The version of the format that this crate writes, and the only one that it compares with.
pub const REPORT_VERSION: u32 = 6;
