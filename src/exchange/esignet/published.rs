//! What E-Signet publishes, fetched ahead: the last good version of each document, and when it is due again.

use std::sync::Arc;

use bytes::Bytes;

use crate::{clock::Moment, envelope::key_set::KeySet, policy::EsignetOperation};

/// How long to wait after a failure, at most the time between two fetches.
const AGAIN_MS: i64 = 5_000;

/// The documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// The key set.
    Keys,
    /// Discovery, in the form of OpenID.
    Openid,
    /// Discovery, in the form of RFC 8414.
    Oauth,
}

impl Documents {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keys, Self::Openid, Self::Oauth];

    /// Its path, behind E-Signet's base.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Keys => EsignetOperation::Keys.path(),
            Self::Openid => EsignetOperation::OpenidDiscovery.path(),
            Self::Oauth => EsignetOperation::OauthDiscovery.path(),
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Keys => 0,
            Self::Openid => 1,
            Self::Oauth => 2,
        }
    }
}

/// The last good versions.
#[derive(Debug, Default)]
pub struct Published {
    keys: Option<Arc<KeySet>>,
    entries: [Entry; 3],
}

#[derive(Debug, Default)]
struct Entry {
    text: Option<(Bytes, Moment)>,
    due: Option<Moment>,
    failing: bool,
}

impl Published {
    pub(super) fn keys(&self, grace_ms: i64, now: Moment) -> Option<Arc<KeySet>> {
        let age = self.since(now)?;
        (age <= grace_ms).then(|| self.keys.clone()).flatten()
    }

    pub(super) fn document(&self, which: Documents, grace_ms: i64, now: Moment) -> Option<Bytes> {
        let (text, fetched) = self.entry(which)?.text.as_ref()?;
        (now.since_ms(*fetched) <= grace_ms).then(|| text.clone())
    }

    /// Milliseconds since the key set was fetched.
    pub(super) fn since(&self, now: Moment) -> Option<i64> {
        let (_, fetched) = self.entry(Documents::Keys)?.text.as_ref()?;
        Some(now.since_ms(*fetched))
    }

    pub(super) fn keys_fail(&self) -> bool {
        self.entry(Documents::Keys).is_some_and(|e| e.failing)
    }

    pub(super) fn is_due(&self, which: Documents, now: Moment) -> bool {
        self.entry(which)
            .is_some_and(|e| e.due.is_none_or(|due| due <= now))
    }

    pub(super) fn take_keys(&mut self, keys: KeySet, text: Bytes, now: Moment, refresh_ms: i64) {
        self.keys = Some(Arc::new(keys));
        self.take_document(Documents::Keys, text, now, refresh_ms);
    }

    pub(super) fn take_document(
        &mut self,
        which: Documents,
        text: Bytes,
        now: Moment,
        refresh_ms: i64,
    ) {
        if let Some(entry) = self.entries.get_mut(which.index()) {
            *entry = Entry {
                text: Some((text, now)),
                due: Some(now.plus_ms(refresh_ms)),
                failing: false,
            };
        }
    }

    pub(super) fn failed(&mut self, which: Documents, now: Moment, refresh_ms: i64) {
        if let Some(entry) = self.entries.get_mut(which.index()) {
            entry.failing = true;
            entry.due = Some(now.plus_ms(AGAIN_MS.min(refresh_ms)));
        }
    }

    fn entry(&self, which: Documents) -> Option<&Entry> {
        self.entries.get(which.index())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_000_000);
    const KEYS: &[u8] = br#"{"keys":[{"kid":"a","kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    #[test]
    fn the_last_good_keys_are_used_until_the_grace_is_over_and_asked_for_again_sooner() {
        let mut published = Published::default();
        assert!(published.is_due(Documents::Keys, NOW));
        assert!(published.keys(10_000, NOW).is_none());
        let keys = KeySet::parse(KEYS).unwrap();
        published.take_keys(keys, Bytes::from_static(KEYS), NOW, 60_000);
        assert!(!published.is_due(Documents::Keys, NOW.plus_ms(59_999)));
        let due = NOW.plus_ms(60_000);
        assert!(published.is_due(Documents::Keys, due));
        published.failed(Documents::Keys, due, 60_000);
        assert!(published.keys_fail());
        assert!(!published.is_due(Documents::Keys, due.plus_ms(AGAIN_MS - 1)));
        assert!(published.is_due(Documents::Keys, due.plus_ms(AGAIN_MS)));
        assert!(published.keys(100_000, NOW.plus_ms(100_000)).is_some());
        assert!(published.keys(100_000, NOW.plus_ms(100_001)).is_none());
        assert!(published.document(Documents::Keys, 100_000, NOW).is_some());
        assert!(
            published
                .document(Documents::Openid, 100_000, NOW)
                .is_none()
        );
    }
}
