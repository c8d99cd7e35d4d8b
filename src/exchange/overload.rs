//! Who is refused first when there is too much to do: whoever is not known.
//!
//! A quarter of the places for exchanges and of the time that work may wait is for callers whose certificate is a partner's, and for our own
//! services. What is decided here is decided before anything is looked at but the connection.

use std::time::Duration;

use super::{Connection, Limits, Snapshot};
use crate::{
    clock::Moment,
    config::FaceKind,
    refusal::{Code, Refusal},
};

/// Who was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// A connection in or before its TLS handshake: nobody can know whose it is.
    Handshake,
    /// A connection whose certificate is no partner's.
    Stranger,
    /// A partner or a service of ours.
    Known,
}

impl Shed {
    /// The label of the metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Stranger => "stranger",
            Self::Known => "known",
        }
    }
}

/// Places that strangers may take of `max`: at least one, and not all where there are several.
pub fn for_strangers(max: usize) -> usize {
    max.saturating_sub(max / 4).max(1)
}

/// Whether an exchange may begin.
///
/// # Errors
/// `GW-001`, and who was shed.
pub(super) fn check(
    snapshot: &Snapshot,
    connection: &Connection,
    before: usize,
    delay: Duration,
    now: Moment,
) -> Result<(), (Shed, Refusal)> {
    let limits: &Limits = snapshot.limits();
    let max = limits.exchanges_max;
    let late = Duration::saturating_sub(limits.queue_max, limits.queue_max / 4);
    // Nobody has to be known while there is room for all.
    if before < for_strangers(max) && delay <= late {
        return Ok(());
    }
    let known = is_known(snapshot, connection, now);
    let (who, places, wait) = if known {
        (Shed::Known, max, limits.queue_max)
    } else {
        (Shed::Stranger, for_strangers(max), late)
    };
    let kept = if known {
        ""
    } else {
        "; the rest is kept for partners"
    };
    if before >= places {
        let cause = format!("{places} exchanges are under way{kept}");
        return Err((who, Refusal::new(Code::Overloaded, cause)));
    }
    if delay > wait {
        let ms = delay.as_millis();
        let cause = format!("work waits {ms} ms for a processor{kept}");
        return Err((who, Refusal::new(Code::Overloaded, cause)));
    }
    Ok(())
}

/// Whether the connection is a partner's, as far as its certificate says, or one of our own services'.
pub(super) fn is_known(snapshot: &Snapshot, connection: &Connection, now: Moment) -> bool {
    if connection.kind == FaceKind::Service
        || connection.known(snapshot.generation(), now).is_some()
    {
        return true;
    }
    let leaf = connection.leaf.as_deref();
    leaf.is_some_and(|leaf| snapshot.directory().known(leaf).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_kept_from_strangers_but_never_all() {
        assert_eq!(for_strangers(512), 384);
        assert_eq!(for_strangers(8), 6);
        assert_eq!(for_strangers(2), 2);
        assert_eq!(for_strangers(1), 1);
    }
}
