//! Names as text.

/// `%name`; `_` for what is left out.
pub(crate) fn value_name(name: &str) -> String {
    if name.is_empty() { "_".to_owned() } else { format!("%{}", quoted_unless_plain(name)) }
}

/// A name as it is where it cannot be mistaken for anything else, or else in quotes and escaped: names come from the
/// file, and a terminal obeys what it is shown.
pub(crate) fn quoted_unless_plain(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("{name:?}") }
}

/// Whether a name is made of letters, digits and `_ . / : -` only.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}
