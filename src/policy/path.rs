//! Paths of routes: literal segments and segments in braces that stand for what the caller writes there.

use std::fmt;

/// Bytes of a path that is filled in, more or less: those of MOSIP with their two keys.
const FILLED: usize = 128;

/// Segments in braces in one path.
pub const CAPTURES_MAX: usize = 8;
/// Segments in one path.
pub const SEGMENTS_MAX: usize = 32;

/// The pattern of a route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// Whether `{rest}` stands last; it is one segment or more.
    rest: bool,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any one segment, under this name.
    Capture(String),
}

/// A path that cannot be a route's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with a slash.
    #[error("the path does not start with `/`")]
    Relative,
    /// A segment is empty: a doubled slash or one at the end.
    #[error("the path has an empty segment (a doubled slash, or one at the end)")]
    Empty,
    /// A segment is `.` or `..`.
    #[error("the path has a dot segment")]
    Dots,
    /// A segment has a character that is not taken.
    #[error("the segment `{0}` is not canonical: letters, digits and `-._~!$&'()*+,=:@` are taken")]
    Character(String),
    /// What stands in braces is not a name.
    #[error(
        "`{0}` is not a name in braces: a lower-case letter, then lower-case letters, digits and `_`, 32 at most"
    )]
    Name(String),
    /// A name stands twice.
    #[error("the name `{0}` stands twice")]
    Twice(String),
    /// `{rest}` stands before the end.
    #[error("`{{rest}}` does not stand last")]
    Rest,
    /// Too many segments or names.
    #[error(
        "the path has more than {SEGMENTS_MAX} segments, or more than {CAPTURES_MAX} names in braces"
    )]
    Long,
}

/// What the segments in braces stand for in one received path.
#[derive(Clone, Copy, Debug)]
pub struct Captures<'p> {
    values: [&'p str; CAPTURES_MAX],
    rest: &'p [&'p str],
}

impl PathPattern {
    /// Reads a pattern such as `/idauthentication/v1/auth/{misp_lk}/{partner_id}/{api_key}`.
    ///
    /// # Errors
    /// When it is not canonical or its names are not right.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.strip_prefix('/').ok_or(PathError::Relative)?;
        let mut this = Self {
            segments: Vec::new(),
            rest: false,
        };
        if text.is_empty() {
            return Ok(this);
        }
        for piece in text.split('/') {
            if this.rest {
                return Err(PathError::Rest);
            }
            match segment(piece)? {
                Segment::Capture(name) if name == "rest" => this.rest = true,
                segment @ Segment::Capture(_) if this.segments.contains(&segment) => {
                    return Err(PathError::Twice(piece.to_owned()));
                }
                segment => this.segments.push(segment),
            }
        }
        if this.segments.len() > SEGMENTS_MAX || this.captures().count() > CAPTURES_MAX {
            return Err(PathError::Long);
        }
        Ok(this)
    }

    /// The segments, `{rest}` excepted.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names in braces, `rest` excepted, in the order of the path.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Capture(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether `{rest}` stands last.
    pub const fn has_rest(&self) -> bool {
        self.rest
    }

    /// What the names stand for, when the path fits. The path's segments must be canonical and not empty.
    pub fn matches<'p>(&self, path: &'p [&'p str]) -> Option<Captures<'p>> {
        let (head, rest) = path.split_at_checked(self.segments.len())?;
        if rest.is_empty() == self.rest {
            return None;
        }
        let mut values = [""; CAPTURES_MAX];
        let mut slots = values.iter_mut();
        for (segment, part) in self.segments.iter().zip(head) {
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::Literal(_) => return None,
                Segment::Capture(_) => *slots.next()? = part,
            }
        }
        Some(Captures { values, rest })
    }

    /// Whether some path fits both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let lengths = match (self.rest, other.rest) {
            (false, false) => self.segments.len() == other.segments.len(),
            (true, false) => other.segments.len() > self.segments.len(),
            (false, true) => self.segments.len() > other.segments.len(),
            (true, true) => true,
        };
        lengths
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Literal(a), Segment::Literal(b)) => a == b,
                    (Segment::Capture(_), _) | (_, Segment::Capture(_)) => true,
                })
    }

    /// What a name of this pattern stands for.
    pub fn capture<'p>(&self, name: &str, captures: &Captures<'p>) -> Option<&'p str> {
        let place = self.captures().position(|n| n == name)?;
        captures.values.get(place).copied()
    }

    /// The path with every name replaced by what `value` gives for it, and `{rest}` by `rest`. `None` when a name has no
    /// value.
    pub fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v str>,
        rest: &[&str],
    ) -> Option<String> {
        let mut path = String::with_capacity(FILLED);
        for segment in &self.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Capture(name) => value(name)?,
            });
        }
        for part in rest.iter().filter(|_| self.rest) {
            path.push('/');
            path.push_str(part);
        }
        if path.is_empty() {
            path.push('/');
        }
        Some(path)
    }
}

impl<'p> Captures<'p> {
    /// The segments that `{rest}` stands for.
    pub const fn rest(&self) -> &'p [&'p str] {
        self.rest
    }
}

fn segment(piece: &str) -> Result<Segment, PathError> {
    if let Some(name) = piece.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let letters = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        return if letters && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 32
        {
            Ok(Segment::Capture(name.to_owned()))
        } else {
            Err(PathError::Name(piece.to_owned()))
        };
    }
    match piece {
        "" => Err(PathError::Empty),
        "." | ".." => Err(PathError::Dots),
        _ if piece
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b)) =>
        {
            Ok(Segment::Literal(piece.to_owned()))
        }
        _ => Err(PathError::Character(piece.to_owned())),
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Capture(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.rest, self.segments.is_empty()) {
            (true, _) => f.write_str("/{rest}"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn only_canonical_patterns_are_read() {
        for good in [
            "/",
            "/a",
            "/a/{b}/c.d~e",
            "/{rest}",
            "/v1/x:y@z",
            "/a/{b}/{rest}",
        ] {
            assert_eq!(pattern(good).to_string(), good);
        }
        for (bad, error) in [
            ("", PathError::Relative),
            ("a", PathError::Relative),
            ("//", PathError::Empty),
            ("/a/", PathError::Empty),
            ("/a//b", PathError::Empty),
            ("/a/../b", PathError::Dots),
            ("/a/%2e", PathError::Character("%2e".into())),
            ("/a;b", PathError::Character("a;b".into())),
            ("/a?b", PathError::Character("a?b".into())),
            ("/a\\b", PathError::Character("a\\b".into())),
            ("/a{b}", PathError::Character("a{b}".into())),
            ("/{}", PathError::Name("{}".into())),
            ("/{B}", PathError::Name("{B}".into())),
            ("/{1}", PathError::Name("{1}".into())),
            ("/{a}/{a}", PathError::Twice("{a}".into())),
            ("/{rest}/a", PathError::Rest),
            ("/{rest}/{rest}", PathError::Rest),
        ] {
            assert_eq!(PathPattern::parse(bad), Err(error), "{bad}");
        }
        assert_eq!(
            PathPattern::parse(&"/a".repeat(SEGMENTS_MAX + 1)),
            Err(PathError::Long)
        );
        let names: String = (0..=CAPTURES_MAX).map(|i| format!("/{{n{i}}}")).collect();
        assert_eq!(PathPattern::parse(&names), Err(PathError::Long));
    }

    #[test]
    fn a_path_fits_segment_by_segment() {
        let p = pattern("/auth/{misp_lk}/{partner_id}");
        let path = ["auth", "lk", "p1"];
        let captures = p.matches(&path).unwrap();
        assert_eq!(p.capture("misp_lk", &captures), Some("lk"));
        assert_eq!(p.capture("partner_id", &captures), Some("p1"));
        assert_eq!(p.capture("api_key", &captures), None);
        for bad in [
            &["auth", "lk"][..],
            &["auth", "lk", "p", "x"],
            &["Auth", "lk", "p"],
            &["auths", "lk", "p"],
            &[],
        ] {
            assert!(p.matches(bad).is_none(), "{bad:?}");
        }
        assert!(pattern("/").matches(&[]).is_some());
    }

    #[test]
    fn rest_stands_for_one_segment_or_more() {
        let p = pattern("/files/{rest}");
        assert!(p.matches(&["files"]).is_none());
        assert_eq!(p.matches(&["files", "a", "b"]).unwrap().rest(), ["a", "b"]);
    }

    #[test]
    fn patterns_overlap_when_one_path_fits_both() {
        for (a, b, overlap) in [
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/c", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/{y}/b", true),
            ("/a/{x}", "/b/{y}", false),
            ("/a/{x}", "/a", false),
            ("/a/{rest}", "/a/b", true),
            ("/a/{rest}", "/a", false),
            ("/a/{rest}", "/a/b/c", true),
            ("/a/{rest}", "/b/c", false),
            ("/a/{rest}", "/a/b/{rest}", true),
            ("/{rest}", "/", false),
            ("/{rest}", "/x", true),
        ] {
            assert_eq!(pattern(a).overlaps(&pattern(b)), overlap, "{a} {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn filling_puts_values_in_place_of_names() {
        let value = |name: &str| (name == "x").then_some("1");
        assert_eq!(
            pattern("/a/{x}/{rest}").fill(value, &["r", "s"]).as_deref(),
            Some("/a/1/r/s")
        );
        assert_eq!(pattern("/a").fill(value, &["r"]).as_deref(), Some("/a"));
        assert_eq!(pattern("/").fill(value, &[]).as_deref(), Some("/"));
        assert_eq!(pattern("/{y}").fill(value, &[]), None);
    }
}
