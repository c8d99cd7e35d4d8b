//! MOSIP's timestamps: `yyyy-MM-dd'T'HH:mm:ss.SSSXXX` as a strict Java `SimpleDateFormat` reads it, and the window
//! (reference, section 2.6).

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::{failure::Failure, records::Window};
use crate::clock::Moment;

/// A timestamp and the zone it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) moment: Moment,
    offset: UtcOffset,
}

/// Reads a timestamp. Numbers may have fewer digits, milliseconds are a number and not a fraction, what follows the zone
/// is not looked at: Java's ways, measured.
pub(super) fn parse(text: &str) -> Option<Stamp> {
    let mut rest = text;
    let year = number(&mut rest)?;
    let month = after(&mut rest, '-')?;
    let day = after(&mut rest, '-')?;
    let hour = after(&mut rest, 'T')?;
    let minute = after(&mut rest, ':')?;
    let second = after(&mut rest, ':')?;
    let millisecond = after(&mut rest, '.')?;
    let offset = zone(rest)?;
    let date = Date::from_calendar_date(
        i32::try_from(year).ok()?,
        Month::try_from(u8::try_from(month).ok()?).ok()?,
        u8::try_from(day).ok()?,
    )
    .ok()?;
    let time = Time::from_hms_milli(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        u8::try_from(second).ok()?,
        u16::try_from(millisecond).ok()?,
    )
    .ok()?;
    let nanoseconds = PrimitiveDateTime::new(date, time)
        .assume_offset(offset)
        .unix_timestamp_nanos();
    Some(Stamp {
        moment: Moment::from_ms(i64::try_from(nanoseconds.div_euclid(1_000_000)).ok()?),
        offset,
    })
}

/// A moment as answers carry it, in the zone of the request when that could be read.
pub(super) fn format(moment: Moment, like: Option<&str>) -> String {
    let offset = like
        .and_then(parse)
        .map_or(UtcOffset::UTC, |stamp| stamp.offset);
    let nanoseconds = i128::from(moment.ms()).saturating_mul(1_000_000);
    let local = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_offset(offset);
    let zone = if offset.is_utc() {
        "Z".to_owned()
    } else {
        let sign = if offset.is_negative() { '-' } else { '+' };
        let (hours, minutes, _) = offset.as_hms();
        format!(
            "{sign}{:02}:{:02}",
            hours.unsigned_abs(),
            minutes.unsigned_abs()
        )
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{zone}",
        local.year(),
        u8::from(local.month()),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.millisecond(),
    )
}

/// Whether a member's timestamp is there, can be read, and is not in the future. When all is well it is also held
/// against the past, unless something was wrong before (`already`).
pub(super) fn check(
    member: &str,
    value: Option<&str>,
    window: Window,
    now: Moment,
    already: &mut Vec<Failure>,
) {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        already.push(Failure::missing(member));
        return;
    };
    let Some(stamp) = parse(value) else {
        already.push(Failure::invalid(member));
        return;
    };
    let late = now.since_ms(stamp.moment);
    let ahead = late.saturating_neg();
    let adjustment = window.adjustment_s.saturating_mul(1000);
    let past = window
        .allowed_s
        .saturating_mul(1000)
        .saturating_add(adjustment);
    if ahead > adjustment || (already.is_empty() && late > past) {
        already.push(
            Failure::new(
                "IDA-MLC-001",
                format!(
                    "Request to be received at MOSIP within {} seconds. Attribute: {member}",
                    window.allowed_s
                ),
            )
            .acting(format!(
                "Please send the request within {} seconds",
                window.allowed_s
            )),
        );
    }
}

fn after(rest: &mut &str, separator: char) -> Option<u32> {
    *rest = rest.strip_prefix(separator)?;
    number(rest)
}

fn number(rest: &mut &str) -> Option<u32> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at_checked(end)?;
    *rest = after;
    digits.parse().ok()
}

fn zone(rest: &str) -> Option<UtcOffset> {
    if rest.starts_with('Z') {
        return Some(UtcOffset::UTC);
    }
    let (sign, digits) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(digits), _) => (1_i8, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let hours = digits.get(0..2)?;
    let minutes = digits.get(2..)?.strip_prefix(':')?.get(0..2)?;
    let two = |text: &str| -> Option<i8> {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    UtcOffset::from_hms(
        sign.checked_mul(two(hours)?)?,
        sign.checked_mul(two(minutes)?)?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_java_reads_them() {
        let ms = |text: &str| parse(text).map(|stamp| stamp.moment.ms());
        assert_eq!(ms("1970-01-01T00:00:01.000Z"), Some(1000));
        assert_eq!(ms("1970-01-01T00:00:00.1Z"), Some(1));
        assert_eq!(ms("1970-01-01T05:30:00.000+05:30"), Some(0));
        assert_eq!(ms("1970-01-01T0:00:00.000Z and more"), Some(0));
        for wrong in [
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.123456Z",
            "1970-01-01T00:00:00.000",
            "1970-01-01T00:00:00.000+0530",
            "1970-13-01T00:00:00.000Z",
            "1970-02-30T00:00:00.000Z",
            "1970-01-01T24:00:00.000Z",
            "",
        ] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_take_the_zone_of_the_request() {
        let at = Moment::from_ms(1_234);
        assert_eq!(format(at, None), "1970-01-01T00:00:01.234Z");
        assert_eq!(
            format(at, Some("2026-01-01T00:00:00.000-03:30")),
            "1969-12-31T20:30:01.234-03:30"
        );
    }

    #[test]
    fn the_window_is_sixty_seconds_back_and_thirty_forward() {
        let now = Moment::from_s(1_000_000);
        let refused = |ms: i64| {
            let mut errors = Vec::new();
            let text = format(now.plus_ms(ms), None);
            check(
                "requestTime",
                Some(&text),
                Window::default(),
                now,
                &mut errors,
            );
            !errors.is_empty()
        };
        assert!(!refused(-60_000) && !refused(30_000));
        assert!(refused(-60_001) && refused(30_001));
    }
}
