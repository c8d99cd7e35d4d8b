//! What commands print on the standard output.

use std::io::{Write, stdout};

/// A line. A reader that has gone away, such as `head`, is no error.
pub(super) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(stdout(), "{line}");
}
