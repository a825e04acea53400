//! The one place that opens files.
//!
//! | function | for | what it refuses |
//! | --- | --- | --- |
//! | [`open`], [`read`], [`read_text`] | files that others made | everything but regular files, and more bytes than the caller allows |
//! | [`open_unlinked`], [`read_unlinked`] | files in a folder that others made | symbolic links too |
//! | [`open_ours`], [`append_to_ours`] | files of ours that are changed in place | links, symbolic and hard: what they lead to is not ours |
//! | [`create_new`], [`replace`], [`replace_with`], [`temporary_in`] | files that are written as a whole | nothing: what is there is replaced, not followed |
//! | [`write_named`] | files that the user names | to remove a device, a FIFO or a folder |
//!
//! Opening a FIFO waits for its other end, reading a device may never end, and opening some devices does something. So
//! the kind of a file is asked before it is opened, opening never waits, and the kind is asked again of what was opened.
//! [`Bounded`] is for parsers that search a file for its end. A test, `files_are_opened_in_one_place`, holds the rest of the workspace to these functions.
//!
//! Errors are [`std::io::Error`]s that say what was found and what was wanted, without the path: callers know how the
//! user calls it.

mod bounded;
mod input;
mod kind;
mod output;

pub use bounded::Bounded;
pub use input::{Opened, open, open_unlinked, read, read_text, read_unlinked};
pub use kind::{FileKind, expect_regular};
pub use output::{
    OursWhere, append_to_ours, create_new, open_ours, replace, replace_with, sync_name, temporary_in,
    write_named,
};
