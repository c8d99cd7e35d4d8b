//! The field `date`, made once a second for each thread.

use crate::clock::Moment;
use std::cell::RefCell;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// RFC 9110 section 5.6.7.
const FORM: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

thread_local! {
    static MADE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Appends the field line for a moment.
pub(super) fn push_date(head: &mut Vec<u8>, now: Moment) {
    MADE.with_borrow_mut(|(second, line)| {
        if *second != now.s() {
            *second = now.s();
            *line = OffsetDateTime::from_unix_timestamp(now.s())
                .ok()
                .and_then(|at| at.format(FORM).ok())
                .map(|date| format!("date: {date}\r\n"))
                .unwrap_or_default();
        }
        head.extend_from_slice(line.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_moment() {
        for (second, date) in [
            (784_111_777, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (784_111_778, "date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
        ] {
            let mut head = Vec::new();
            push_date(&mut head, Moment::from_s(second));
            assert_eq!(std::str::from_utf8(&head), Ok(date));
        }
    }
}
