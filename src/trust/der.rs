//! Just enough DER to take certificates, revocation lists and time stamps apart into the bytes that were signed: a strict reader of
//! definite, shortest lengths, and a writer.

/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// GeneralizedTime.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// SET.
pub(crate) const SET: u8 = 0x31;

/// One element: its tag, its content and its whole bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Elements that stand behind one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Over the content of an element, or over a whole text.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever its tag is.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        // Tags above 30 do not occur here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = rest.split_first()?;
        let (length, rest) = if *length < 0x80 {
            (usize::from(*length), rest)
        } else {
            let count = usize::from(*length & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (digits, rest) = rest.split_at_checked(count)?;
            let value = digits
                .iter()
                .fold(0_usize, |n, b| n.wrapping_shl(8) | usize::from(*b));
            if value < 0x80 || digits.first() == Some(&0) {
                return None;
            }
            (value, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len().checked_sub(rest.len())?)?;
        self.0 = rest;
        Some(Element {
            tag: *tag,
            content,
            whole,
        })
    }

    /// The next element, which must have that tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        let before = self.0;
        let element = self.any()?;
        if element.tag == tag {
            return Some(element);
        }
        self.0 = before;
        None
    }

    /// The same, as a reader of its content.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|e| Self(e.content))
    }
}

/// The one element that these bytes are, with nothing behind it.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    let inner = reader.enter(tag)?;
    reader.is_empty().then_some(inner)
}

/// `SEQUENCE { signed, algorithm SEQUENCE, signature BIT STRING }`: the three parts, where `algorithm` is the content of
/// the AlgorithmIdentifier, as `rustls-pki-types` has it. `None` where anything is left over or not DER.
pub(super) fn split_signed(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut outer = only(der, SEQUENCE)?;
    let signed = outer.take(SEQUENCE)?.whole;
    let algorithm = outer.take(SEQUENCE)?.content;
    let (unused, signature) = outer.take(BIT_STRING)?.content.split_first()?;
    (outer.is_empty() && *unused == 0).then_some((signed, algorithm, signature))
}

/// An element: tag, length in its shortest form, content.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = content.len().to_be_bytes();
            let digits: Vec<u8> = digits.into_iter().skip_while(|b| *b == 0).collect();
            // At most eight digits: the count fits in the low bits.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_lengths_are_refused() {
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; size];
            let written = element(OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.take(OCTET_STRING).unwrap().content, content);
            assert!(reader.is_empty());
        }
        for bad in [
            &[4, 0x81, 1, 7][..],
            &[4, 0x80, 7, 0, 0],
            &[4, 2, 7],
            &[4, 0x82, 0, 0x80],
            &[0x1f, 0],
            &[4],
        ] {
            assert!(Reader::new(bad).any().is_none(), "{bad:?}");
        }
        assert!(only(&[0x30, 0, 0], SEQUENCE).is_none());
    }

    #[test]
    fn only_one_whole_signed_object_is_taken_apart() {
        let good = [0x30, 9, 0x30, 1, 5, 0x30, 0, 0x03, 2, 0, 7];
        let (signed, algorithm, signature) = split_signed(&good).unwrap();
        assert_eq!(
            (signed, algorithm, signature),
            (&[0x30, 1, 5][..], &[][..], &[7][..])
        );
        assert!(split_signed(&[&good[..], &[0]].concat()).is_none());
        assert!(split_signed(&good[..10]).is_none());
        let long = [0x30, 0x81, 9, 0x30, 1, 5, 0x30, 0, 0x03, 2, 0, 7];
        assert!(
            split_signed(&long).is_none(),
            "length not in its shortest form"
        );
    }
}
