//! Field lines, and the classes of bytes they are made of.

/// A line of a head.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// Not yet whole.
    Incomplete,
    /// The empty line that ends the head.
    End,
    /// A field.
    Field {
        /// Its name as it stands.
        name: &'a [u8],
        /// Its value, without white space around.
        value: &'a [u8],
        /// Where in the line the value begins.
        value_at: usize,
        /// The bytes of the whole line.
        length: usize,
    },
}

/// Why a line has no single reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Line ends, folding, control characters that end lines.
    Framing,
    /// A name or value with bytes that have no place there.
    Field,
}

/// Longest field name looked at.
const NAME_MAX: usize = 128;

/// One field line, or the empty line that ends the head. `names` and `values` are the classes of bytes allowed.
///
/// # Errors
/// When the line is not well-formed.
pub fn field_line(bytes: &[u8], names: u8, values: u8) -> Result<Line<'_>, Malformed> {
    let (name, rest) = span(bytes, names);
    if name.len() > NAME_MAX {
        return Err(Malformed::Field);
    }
    let rest = match rest.split_first() {
        None => return Ok(Line::Incomplete),
        Some((b':', rest)) if !name.is_empty() => rest,
        Some((b'\r', rest)) if name.is_empty() => {
            return match rest.first() {
                None => Ok(Line::Incomplete),
                Some(b'\n') => Ok(Line::End),
                Some(_) => Err(Malformed::Framing),
            };
        }
        // A line that begins with white space continues the one before (obsolete folding).
        Some((b' ' | b'\t', _)) if name.is_empty() => return Err(Malformed::Framing),
        Some((b'\r' | b'\n' | 0, _)) => return Err(Malformed::Framing),
        Some(_) => return Err(Malformed::Field),
    };
    let (value, rest) = value_span(rest, values);
    match rest.split_first() {
        None => return Ok(Line::Incomplete),
        Some((b'\r', rest)) => match rest.first() {
            None => return Ok(Line::Incomplete),
            Some(b'\n') => {}
            Some(_) => return Err(Malformed::Framing),
        },
        Some((b'\n' | 0, _)) => return Err(Malformed::Framing),
        Some(_) => return Err(Malformed::Field),
    }
    let length = name.len().saturating_add(value.len()).saturating_add(3);
    let trimmed = value.trim_ascii_start();
    let blank = value.len().saturating_sub(trimmed.len());
    Ok(Line::Field {
        name,
        value: trimmed.trim_ascii_end(),
        value_at: name.len().saturating_add(1).saturating_add(blank),
        length,
    })
}

/// RFC 9110 section 8.6, narrowed: 1 to 19 digits, no leading zero, so that nobody reads it as octal.
pub fn length(value: &[u8]) -> Option<u64> {
    let leading_zero = value.len() > 1 && value.first() == Some(&b'0');
    if value.is_empty() || value.len() > 19 || leading_zero {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, b| match b {
        b'0'..=b'9' => Some(
            sum.saturating_mul(10)
                .saturating_add(u64::from(b.wrapping_sub(b'0'))),
        ),
        _ => None,
    })
}

/// Splits after the leading bytes of a class.
pub fn span(bytes: &[u8], class: u8) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|b| !is(*b, class))
        .unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// Like [`span`] for field values, which are long (signatures, certificates): many bytes at a time, in a form that
/// compiles to vector instructions.
fn value_span(bytes: &[u8], class: u8) -> (&[u8], &[u8]) {
    let long = visible::<32>(bytes);
    let rest = bytes.get(long..).unwrap_or_default();
    let short = visible::<8>(rest);
    let tail = rest.get(short..).unwrap_or_default();
    let end = long
        .saturating_add(short)
        .saturating_add(span(tail, class).0.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// Bytes of the leading blocks that are visible ASCII and spaces throughout.
fn visible<const BLOCK: usize>(bytes: &[u8]) -> usize {
    let is_visible = |b: &u8| b.wrapping_sub(0x20) < 0x5f;
    let blocks = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| block.iter().fold(true, |whole, b| whole & is_visible(b)))
        .count();
    blocks.saturating_mul(BLOCK)
}

/// Classes of bytes.
pub mod class {
    /// Upper-case letters.
    pub const METHOD: u8 = 1;
    /// The characters of an origin-form target, RFC 3986 sections 3.3 and 3.4. No `#`, which the URI type above would cut
    /// off in silence.
    pub const TARGET: u8 = 2;
    /// Letters, digits and hyphens. RFC 9110 allows more, but servers that turn names into variables fold `_`, `.` and
    /// others into one, and then `x_triseal_partner` is `x-triseal-partner`.
    pub const NAME: u8 = 4;
    /// Visible ASCII, space and tab; not the bytes above (obs-text), which have no agreed meaning.
    pub const VALUE: u8 = 8;
    /// Names and IPv4 addresses.
    pub const HOST: u8 = 16;
    /// IPv6 addresses.
    pub const ADDRESS: u8 = 32;
    /// What RFC 9110 section 5.6.2 allows in a name: an answer's.
    pub const TOKEN: u8 = 64;
    /// What RFC 9110 section 5.5 allows in a value: an answer's.
    pub const TEXT: u8 = 128;
}

/// The classes of every byte.
static CLASSES: [u8; 256] = classes();

/// Whether a byte is of a class.
pub fn is(b: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(b))
        .is_some_and(|classes| classes & class != 0)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at build time, where a wrong index does not compile"
)]
const fn classes() -> [u8; 256] {
    use class::{ADDRESS, HOST, METHOD, NAME, TARGET, TEXT, TOKEN, VALUE};
    let mut classes = [0; 256];
    let mut b = u8::MAX;
    loop {
        let mut class = match b {
            b'A'..=b'Z' => METHOD | TARGET | NAME | HOST | TOKEN,
            b'a'..=b'z' | b'0'..=b'9' | b'-' => TARGET | NAME | HOST | TOKEN,
            b'.' | b'_' => TARGET | HOST | TOKEN,
            b'/' | b'?' | b'%' | b'~' | b':' | b'@' => TARGET,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => TARGET,
            _ => 0,
        };
        if b.is_ascii_hexdigit() || b == b':' || b == b'.' {
            class |= ADDRESS;
        }
        if matches!(
            b,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~'
        ) {
            class |= TOKEN;
        }
        if b.is_ascii_graphic() || b == b' ' || b == b'\t' {
            class |= VALUE | TEXT;
        }
        if b >= 0x80 {
            class |= TEXT;
        }
        classes[b as usize] = class;
        if b == 0 {
            return classes;
        }
        b = b.wrapping_sub(1);
    }
}
