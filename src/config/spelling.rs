//! "Did you mean …?" for names that point to other parts of the configuration.

/// What to do about a name that is not known.
pub fn remedy(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("Did you mean `{near}`?"),
        None if known.is_empty() => "None is configured.".to_owned(),
        None => format!("Known: {}.", known.join(", ")),
    }
}

/// The known name that differs least, if it differs little.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|k| (distance(name, k), *k))
        .filter(|(d, k)| *d <= k.len().min(name.len()).div_euclid(3).max(1))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            if let [diagonal, above] = pair {
                let change = diagonal.saturating_add(usize::from(from != *to));
                left = change.min(above.min(&left).saturating_add(1));
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_gets_the_name_that_was_meant_and_nonsense_gets_the_list() {
        let known = ["ida-auth", "ida-kyc"];
        assert_eq!(remedy("ida-aut", &known), "Did you mean `ida-auth`?");
        assert_eq!(remedy("ida-kcy", &known), "Did you mean `ida-kyc`?");
        assert_eq!(remedy("packets", &known), "Known: ida-auth, ida-kyc.");
        assert_eq!(remedy("x", &[]), "None is configured.");
    }

    #[test]
    fn the_distance_counts_changes_insertions_and_removals() {
        for (a, b, d) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }
}
