//! CSV in and out (RFC 4180, with a delimiter of the caller's).

use serde_json::{Map, Value};

use super::wire::Refused;

/// The most records in a file.
const RECORDS: usize = 10_000;

/// The records of a file: a header line, then a line each.
pub(super) fn records(text: &[u8], delimiter: char) -> Result<Vec<Map<String, Value>>, Refused> {
    let text =
        std::str::from_utf8(text).map_err(|_| Refused::malformed("the CSV file is not UTF-8"))?;
    let mut lines = lines(text.trim_start_matches('\u{feff}'), delimiter)
        .ok_or_else(|| Refused::malformed("the CSV file has a quote that does not end"))?
        .into_iter();
    let Some(names) = lines.next() else {
        return Err(Refused::malformed("the CSV file is empty"));
    };
    let mut records = Vec::new();
    for line in lines {
        if line.len() != names.len() || records.len() >= RECORDS {
            return Err(Refused::malformed(
                "a line of the CSV file has not as many fields as its first, or there are too many",
            ));
        }
        let fields = line.into_iter().map(Value::from);
        records.push(names.iter().cloned().zip(fields).collect());
    }
    Ok(records)
}

/// The outputs as a file; columns are the members of the objects, in the order they first come.
pub(super) fn csv(outputs: &[Value], delimiter: char) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in outputs
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys)
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let line = |fields: Vec<String>| {
        let quoted: Vec<String> = fields
            .iter()
            .map(|field| quoted(field, delimiter))
            .collect();
        format!("{}\r\n", quoted.join(&delimiter.to_string()))
    };
    let mut out = line(names.iter().map(|name| (*name).clone()).collect());
    for output in outputs {
        out.push_str(&line(
            names
                .iter()
                .map(|name| match output.get(name.as_str()) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                })
                .collect(),
        ));
    }
    out
}

fn quoted(field: &str, delimiter: char) -> String {
    if field.contains([delimiter, '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn lines(text: &str, delimiter: char) -> Option<Vec<Vec<String>>> {
    let (mut lines, mut line, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut inside, mut any) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        any = true;
        match letter {
            '"' if inside && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if inside || field.is_empty() => inside = !inside,
            letter if inside => field.push(letter),
            letter if letter == delimiter => line.push(std::mem::take(&mut field)),
            '\n' => {
                let last = field.trim_end_matches('\r').to_owned();
                field.clear();
                line.push(last);
                lines.push(std::mem::take(&mut line));
                any = false;
            }
            letter => field.push(letter),
        }
    }
    if any {
        line.push(field.trim_end_matches('\r').to_owned());
        lines.push(line);
    }
    lines.retain(|line| line.as_slice() != [""]);
    (!inside).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let outputs = [
            serde_json::json!({"a": "1;2", "b": "say \"no\"\nor"}),
            serde_json::json!({"b": null}),
        ];
        let text = csv(&outputs, ';');
        assert_eq!(text, "a;b\r\n\"1;2\";\"say \"\"no\"\"\nor\"\r\n;\r\n");
        let read = records(text.as_bytes(), ';').unwrap();
        assert_eq!(read[0]["a"], "1;2");
        assert_eq!(read[0]["b"], "say \"no\"\nor");
        assert_eq!(read[1]["b"], "");
    }

    #[test]
    fn a_line_with_too_few_fields_or_an_open_quote_is_refused() {
        assert!(records(b"a,b\n1\n", ',').is_err());
        assert!(records(b"a,b\n\"1,2\n", ',').is_err());
        assert!(records(b"", ',').is_err());
        assert_eq!(records(b"a,b\n1,2", ',').unwrap().len(), 1);
    }
}
