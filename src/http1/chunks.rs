//! A chunked body (RFC 9112 section 7.1), without extensions and trailers.

use super::take;

/// Where in a chunked body.
#[derive(Clone, Copy, Debug)]
pub enum Chunk {
    /// In the digits of a size.
    Size {
        /// What they say so far.
        value: u64,
        /// How many there were.
        digits: u8,
    },
    /// Before the line feed after a size.
    SizeLf(u64),
    /// In content, of which so many bytes are left.
    Data(u64),
    /// After content.
    DataCr,
    /// Before the line feed after content.
    DataLf,
    /// After the last size.
    EndCr,
    /// Before the very last byte.
    EndLf,
}

/// One step: bytes of one kind, and where they lead.
#[derive(Clone, Copy, Debug)]
pub struct Follow {
    /// How many bytes it took.
    pub bytes: usize,
    /// Whether they are content, not its framing.
    pub content: bool,
    /// Where it leads; none when the body is complete.
    pub next: Option<Chunk>,
}

impl Chunk {
    /// Before the first byte.
    pub const FIRST: Self = Self::Size {
        value: 0,
        digits: 0,
    };

    /// One step over `bytes`, of which there is at least one; none when they are not well-formed.
    pub fn follow(self, bytes: &[u8]) -> Option<Follow> {
        const DIGITS_MAX: u8 = 16;
        let first = *bytes.first()?;
        let next = match (self, first) {
            (Self::Data(left), _) => {
                let (now, after) = take(bytes, left);
                let next = if after == 0 {
                    Self::DataCr
                } else {
                    Self::Data(after)
                };
                return Some(Follow {
                    bytes: now,
                    content: true,
                    next: Some(next),
                });
            }
            (Self::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < DIGITS_MAX =>
            {
                let digit = char::from(first).to_digit(16).unwrap_or_default();
                Some(Self::Size {
                    value: (value << 4) | u64::from(digit),
                    digits: digits.saturating_add(1),
                })
            }
            (Self::Size { value, digits: 1.. }, b'\r') => Some(Self::SizeLf(value)),
            (Self::SizeLf(0), b'\n') => Some(Self::EndCr),
            (Self::SizeLf(size), b'\n') => Some(Self::Data(size)),
            (Self::DataCr, b'\r') => Some(Self::DataLf),
            (Self::DataLf, b'\n') => Some(Self::FIRST),
            (Self::EndCr, b'\r') => Some(Self::EndLf),
            (Self::EndLf, b'\n') => None,
            (
                Self::Size { .. }
                | Self::SizeLf(_)
                | Self::DataCr
                | Self::DataLf
                | Self::EndCr
                | Self::EndLf,
                _,
            ) => return None,
        };
        Some(Follow {
            bytes: 1,
            content: false,
            next,
        })
    }
}
