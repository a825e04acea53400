//! What is known of each operator.

pub(crate) mod constants;
pub(crate) mod gradient;
pub(crate) mod types;
