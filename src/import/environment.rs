//! An environment file (`.env`), read as Node's dotenv and Docker Compose read it where they agree; where they do not, the
//! line is a mistake and says so.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// The largest file, in bytes.
pub(super) const FILE_MAX: usize = 256 << 10;
/// Variables in one file.
const VARIABLES_MAX: usize = 1024;
/// The longest name.
const NAME_MAX: usize = 128;

/// What a file sets. Values may be secrets: they are wiped, and nothing shows them.
#[derive(Default)]
pub(super) struct Environment {
    values: BTreeMap<String, Zeroizing<String>>,
    notes: Vec<String>,
}

/// A line that cannot be read in one way.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct EnvMistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Environment {
    /// Reads a file's text. When a variable stands twice, the later line counts.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<EnvMistake>> {
        let mut reader = Reader {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            line: 1,
        };
        let mut environment = Self::default();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut mistakes = Vec::new();
        while !reader.rest.is_empty() {
            let line = reader.line;
            match reader.assignment() {
                Ok(None) => {}
                Ok(Some((name, value, expands))) => {
                    if let Some(earlier) = lines.insert(name.clone(), line) {
                        environment.notes.push(format!(
                            "{name} stands on lines {earlier} and {line}: the later one counts"
                        ));
                    }
                    if expands {
                        environment.notes.push(format!(
                            "{name} (line {line}) has a `$`: it is taken as it stands, nothing is put in its place"
                        ));
                    }
                    environment.values.insert(name, value);
                }
                Err(what) => {
                    mistakes.push(EnvMistake { line, what });
                    reader.skip_line();
                }
            }
            if lines.len() > VARIABLES_MAX {
                let what = format!("more than {VARIABLES_MAX} variables; is this the right file?");
                mistakes.push(EnvMistake { line, what });
                break;
            }
        }
        if mistakes.is_empty() {
            Ok(environment)
        } else {
            Err(mistakes)
        }
    }

    /// A variable's value; an empty one counts as not set, as it does for the middleware.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The names, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What the reader noticed.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// A name, its value, and whether other tools would put something in the place of a `$`.
type Assignment = (String, Zeroizing<String>, bool);

struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Reader<'t> {
    /// One line, or more when a quoted value spans them. `None` for blanks and comments.
    fn assignment(&mut self) -> Result<Option<Assignment>, String> {
        let line = self.peek_line().trim();
        if line.is_empty() || line.starts_with('#') {
            self.skip_line();
            return Ok(None);
        }
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        if let Some(after) =
            (self.rest.strip_prefix("export")).filter(|after| after.starts_with([' ', '\t']))
        {
            self.rest = after.trim_start_matches([' ', '\t']);
        }
        let line = self.peek_line();
        let Some((name, _)) = line.split_once('=') else {
            return Err("there is no `=`. Write NAME=value, or `#` before a comment.".to_owned());
        };
        let after = name.len().saturating_add(1);
        let name = name.trim_end();
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !begins || name.len() > NAME_MAX || !name.bytes().all(letter) {
            return Err(
                "the name before `=` is none. Names have letters, digits and `_`.".to_owned(),
            );
        }
        let name = name.to_owned();
        self.rest = self.rest.get(after..).unwrap_or_default();
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let (value, expands) = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => self.quoted(quote)?,
            _ => self.plain()?,
        };
        if value.contains('\0') {
            return Err("the value has a byte of value zero. Remove it.".to_owned());
        }
        Ok(Some((name, value, expands)))
    }

    fn plain(&mut self) -> Result<(Zeroizing<String>, bool), String> {
        let line = self.peek_line();
        if line.starts_with('#') {
            return Err(
                "the value begins with `#`, which some tools take for a comment. Put it in quotes."
                    .to_owned(),
            );
        }
        let end = [" #", "\t#"]
            .iter()
            .filter_map(|mark| line.find(mark))
            .min()
            .unwrap_or(line.len());
        let value = Zeroizing::new(line.get(..end).unwrap_or_default().trim().to_owned());
        self.skip_line();
        let expands = value.contains('$');
        Ok((value, expands))
    }

    fn quoted(&mut self, quote: char) -> Result<(Zeroizing<String>, bool), String> {
        let mut value = Zeroizing::new(String::new());
        let mut expands = false;
        let mut characters = self.rest.char_indices().skip(1);
        let mut end = None;
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    end = Some(at.saturating_add(1));
                    break;
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                c => {
                    expands |= c == '$' && quote == '"';
                    value.push(c);
                }
            }
        }
        let Some(end) = end else {
            return Err(format!("the quote {quote} is never closed. Close it."));
        };
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.line = self.line.saturating_add(taken.matches('\n').count());
        self.rest = rest;
        let after = self.peek_line().trim();
        if !after.is_empty() && !after.starts_with('#') {
            return Err("something stands behind the closing quote. Remove it.".to_owned());
        }
        self.skip_line();
        Ok((value, expands))
    }

    fn peek_line(&self) -> &'t str {
        self.rest.lines().next().unwrap_or_default()
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line = self.line.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Environment {
        Environment::parse(text).unwrap_or_else(|m| panic!("{m:?}"))
    }

    #[test]
    fn quotes_comments_exports_and_blanks_are_read_as_elsewhere() {
        let env = read(concat!(
            "\u{feff}# first\r\n",
            "A=plain value # not this\r\n",
            "  export B = 'single # $x \\n'\n",
            "C=\"double \\\"q\\\" \\n\\t\\$ \\d\" # not this\n",
            "D=`back \"tick\"`\n",
            "E=\n\n",
            "exported=1\n",
            "F=\"two\nlines\"\n",
            "G=a=b#c\n",
        ));
        assert_eq!(env.get("A"), Some("plain value"));
        assert_eq!(env.get("B"), Some("single # $x \\n"));
        assert_eq!(env.get("C"), Some("double \"q\" \n\t$ \\d"));
        assert_eq!(env.get("D"), Some("back \"tick\""));
        assert_eq!(env.get("E"), None);
        assert_eq!(env.get("exported"), Some("1"));
        assert_eq!(env.get("F"), Some("two\nlines"));
        assert_eq!(env.get("G"), Some("a=b#c"));
        assert!(env.notes().is_empty(), "{:?}", env.notes());
    }

    #[test]
    fn the_later_of_two_lines_counts_and_is_told() {
        let env = read("A=1\nB=\"x\ny\"\nA=2\nP=pa$word\n");
        assert_eq!(env.get("A"), Some("2"));
        assert!(
            env.notes()[0].contains("lines 1 and 4"),
            "{:?}",
            env.notes()
        );
        assert!(env.notes()[1].contains("P (line 5)"), "{:?}", env.notes());
        assert!(!env.notes().concat().contains("pa$word"));
    }

    #[test]
    fn what_has_two_readings_is_a_mistake_with_its_line() {
        let Err(mistakes) = Environment::parse("A=1\nno sign\n1B=2\nC=#x\nD='open\nE=1") else {
            panic!("taken");
        };
        let lines: Vec<usize> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        let Err(mistakes) = Environment::parse("A=\"x\" y") else {
            panic!("taken");
        };
        assert!(mistakes[0].what.contains("behind the closing quote"));
    }

    #[test]
    fn the_number_of_variables_is_bounded() {
        let many: String = (0..=VARIABLES_MAX).map(|i| format!("V{i}=1\n")).collect();
        assert!(Environment::parse(&many).is_err());
    }
}
