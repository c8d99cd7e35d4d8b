//! `multipart/form-data` (RFC 7578), as far as the seeder needs it.

/// The parts of a body by their names; nothing when it is malformed.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<(String, &'a [u8])>> {
    let boundary = content_type.split(';').find_map(|parameter| {
        let value = parameter.trim().strip_prefix("boundary=")?;
        Some(value.trim_matches('"').to_owned())
    })?;
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.get(find(body, opening.as_bytes())?..)?;
    rest = rest.strip_prefix(opening.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let end = find(part, between.as_bytes())?;
        let (part, after) = part.split_at(end);
        rest = after.strip_prefix(between.as_bytes())?;
        let head_end = find(part, b"\r\n\r\n")?;
        let (head, content) = part.split_at(head_end);
        let name = name(std::str::from_utf8(head).ok()?)?;
        parts.push((name, content.strip_prefix(b"\r\n\r\n")?));
    }
}

/// A body with one file.
pub(super) fn one_file(boundary: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n",
        name = name.replace(['"', '\r', '\n'], "_")
    )
    .into_bytes();
    body.extend(content);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    body
}

fn name(head: &str) -> Option<String> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    disposition.split(';').find_map(|parameter| {
        let value = parameter.trim().strip_prefix("name=")?;
        Some(value.trim_matches('"').to_owned())
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_hold_line_ends_and_what_looks_like_a_boundary() {
        let content = b"a\r\nb\r\n--\r\n\r\n";
        let body = one_file("xyz", "csv_file", content);
        let read = parts("multipart/form-data; boundary=\"xyz\"", &body).unwrap();
        assert_eq!(read, [("csv_file".to_owned(), &content[..])]);
        assert!(parts("multipart/form-data", &body).is_none());
        assert!(parts("multipart/form-data; boundary=other", &body).is_none());
    }
}
