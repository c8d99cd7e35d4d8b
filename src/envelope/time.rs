//! MOSIP's time: `yyyy-MM-dd'T'HH:mm:ss.SSSXXX`, exactly.
//!
//! Published clients send three digits of milliseconds and `Z` or `±hh:mm`. MOSIP's own parser takes more (one digit,
//! anything behind the zone); that is not repeated here.

use ::time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::clock::Moment;

/// Reads a time; `None` when it is not exactly in MOSIP's form.
pub fn parse(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    let (stamp, zone) = bytes.split_at_checked(23)?;
    let fixed = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
    ];
    if fixed.iter().any(|(at, byte)| stamp.get(*at) != Some(byte)) {
        return None;
    }
    let date = Date::from_calendar_date(
        i32::from(number(stamp, 0, 4)?),
        Month::try_from(small(stamp, 5)?).ok()?,
        small(stamp, 8)?,
    )
    .ok()?;
    let time = Time::from_hms_milli(
        small(stamp, 11)?,
        small(stamp, 14)?,
        small(stamp, 17)?,
        number(stamp, 20, 3)?,
    )
    .ok()?;
    let at = PrimitiveDateTime::new(date, time).assume_offset(offset(zone)?);
    let ms = at.unix_timestamp_nanos().checked_div(1_000_000)?;
    Some(Moment::from_ms(i64::try_from(ms).ok()?))
}

/// Writes a time in MOSIP's form, in UTC. Moments outside the years 0 to 9999 are written as the epoch.
pub fn format(moment: Moment) -> String {
    let at = OffsetDateTime::UNIX_EPOCH
        .checked_add(Duration::milliseconds(moment.ms()))
        .filter(|at| (0..=9999).contains(&at.year()))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

fn offset(zone: &[u8]) -> Option<UtcOffset> {
    let sign = match zone.first()? {
        b'Z' if zone.len() == 1 => return Some(UtcOffset::UTC),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if zone.len() != 6 || zone.get(3) != Some(&b':') {
        return None;
    }
    let (hours, minutes) = (small(zone, 1)?, small(zone, 4)?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    let signed = |n: u8| i8::try_from(n).ok().and_then(|n| n.checked_mul(sign));
    UtcOffset::from_hms(signed(hours)?, signed(minutes)?, 0).ok()
}

fn small(bytes: &[u8], from: usize) -> Option<u8> {
    u8::try_from(number(bytes, from, 2)?).ok()
}

fn number(bytes: &[u8], from: usize, digits: usize) -> Option<u16> {
    let mut out = 0_u16;
    for byte in bytes.get(from..from.checked_add(digits)?)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        out = out
            .checked_mul(10)?
            .checked_add(u16::from(byte.checked_sub(b'0')?))?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_published_clients_are_read() {
        let at = Moment::from_ms(1_763_816_645_123);
        assert_eq!(parse("2025-11-22T13:04:05.123Z"), Some(at));
        assert_eq!(parse("2025-11-22T18:34:05.123+05:30"), Some(at));
        assert_eq!(parse("2025-11-22T09:34:05.123-03:30"), Some(at));
        assert_eq!(
            parse("2024-02-29T00:00:00.000Z").map(Moment::s),
            Some(1_709_164_800)
        );
    }

    #[test]
    fn a_written_time_is_read_as_the_same_moment() {
        for ms in [0, 1, -1, 1_763_816_645_123, 253_402_300_799_999] {
            let at = Moment::from_ms(ms);
            assert_eq!(parse(&format(at)), Some(at), "{ms}");
        }
        assert_eq!(
            format(Moment::from_ms(i64::MAX)),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "2025-11-22T13:04:05Z",
            "2025-11-22T13:04:05.1Z",
            "2025-11-22T13:04:05.12Z",
            "2025-11-22T13:04:05.1234Z",
            "2025-11-22T13:04:05.123456Z",
            "2025-11-22T13:04:05.123",
            "2025-11-22T13:04:05.123z",
            "2025-11-22T13:04:05.123+0530",
            "2025-11-22T13:04:05.123+05",
            "2025-11-22T13:04:05.123+05:3",
            "2025-11-22T13:04:05.123+05:60",
            "2025-11-22T13:04:05.123+19:00",
            "2025-11-22T13:04:05.123Z ",
            "2025-11-22T13:04:05.123Zgarbage",
            " 2025-11-22T13:04:05.123Z",
            "2025-11-22 13:04:05.123Z",
            "2025-11-22t13:04:05.123Z",
            "2025-11-22T3:04:05.123Z",
            "2025-13-22T13:04:05.123Z",
            "2025-02-29T13:04:05.123Z",
            "2025-11-22T24:00:00.000Z",
            "2025-11-22T23:59:60.000Z",
            "2025-11-22T13:04:05,123Z",
            "+025-11-22T13:04:05.123Z",
            "２025-11-22T13:04:05.123Z",
            "2025-11-22T13:04:05.12\u{663}Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
