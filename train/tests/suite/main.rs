//! The command `mimir-train` as its users run it, on tiny networks and made-up images.

mod bad_input;
mod configs;
mod results;
mod resume;
mod stages;
mod workshop;
