//! What tells an image from others.

use crate::picture::Picture;

/// What tells an image from others without decoding a file.
pub(crate) enum Identity {
    /// The pixels themselves, where they are at hand.
    Pixels(Picture),
    /// An encoded image: the name that its set has for it, and its length in bytes.
    File { name: String, bytes: u64 },
}
