//! What lies in the store: callbacks that are expected (with the credentials for them), deliveries, and whose a request is.
//! Contents are encrypted there; nothing of them is ever shown.

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    clock::Moment,
    refusal::{Code, Refusal},
    store::{NewErrand, Put, Standing, Store},
};

/// The kind of all errands of the token seeder.
pub const KIND: &str = "token-seeder";
/// A callback may still come.
pub(super) const EXPECTED: &str = "expected";
/// A delivery is to be made.
pub(super) const DELIVER: &str = "deliver";
/// A request of somebody's.
pub(super) const KNOWN: &str = "known";
/// Nothing more to be done; the content is wiped.
pub(super) const OVER: &str = "over";

/// Where the callbacks of a request go.
#[derive(Serialize, Deserialize)]
pub(super) struct Expected {
    /// Who asked.
    pub(super) partner: String,
    /// The upstream that the request went to, and that callbacks must come from.
    pub(super) sent_to: String,
    /// The target's name.
    pub(super) target: String,
    /// The path there.
    pub(super) path: String,
    /// The method.
    pub(super) method: String,
    /// What is shown at the login.
    pub(super) shown: Shown,
}

/// What is shown at the login.
#[derive(Serialize, Deserialize)]
pub(super) enum Shown {
    /// Nothing.
    None,
    /// For a session of Odoo's.
    Odoo {
        database: String,
        username: Zeroizing<String>,
        password: Zeroizing<String>,
    },
    /// For a token endpoint.
    Oauth {
        username: Zeroizing<String>,
        password: Zeroizing<String>,
        client_id: Zeroizing<String>,
        client_secret: Zeroizing<String>,
    },
    /// A token as it is.
    StaticBearer { token: Zeroizing<String> },
}

/// A callback that came.
#[derive(Serialize, Deserialize)]
pub(super) struct Delivery {
    /// The callback's name.
    pub(super) callback: String,
    /// Its own name, which a gateway behind us tells doubles by.
    pub(super) id: String,
    /// The type of the body.
    pub(super) media_type: Option<String>,
    /// The body, in base64.
    pub(super) body: String,
}

impl Expected {
    /// Stores it; durable when this returns.
    pub(super) async fn put(
        &self,
        store: &Store,
        id: &str,
        until: Moment,
        now: Moment,
    ) -> Result<(), Refusal> {
        match put(store, Self::key(id), EXPECTED, self, until, now).await? {
            Put::Stored => Ok(()),
            Put::Known(_) => Err(Refusal::new(Code::Fault, "a callback's name stands twice")),
        }
    }

    /// The one of that name, while it is waited for.
    pub(super) async fn find(store: &Store, id: &str) -> Result<Option<Self>, Refusal> {
        let errand = store
            .find(KIND, &Self::key(id))
            .await
            .map_err(Refusal::from)?;
        Ok(errand
            .filter(|e| e.standing() == Standing::Open && e.step() == EXPECTED)
            .and_then(|e| serde_json::from_slice(e.body()).ok()))
    }
}

impl Delivery {
    /// Stores it, once for each name; durable when this returns.
    pub(super) async fn put(&self, store: &Store, now: Moment) -> Result<Put, Refusal> {
        let key = format!("delivery/{}/{}", self.callback, self.id);
        put(store, key, DELIVER, self, now, now).await
    }
}

/// Whose a request is.
#[derive(Serialize, Deserialize)]
struct Owner {
    partner: String,
}

/// Remembers whose a request is.
pub(super) async fn remember(
    store: &Store,
    identifier: &str,
    partner: &str,
    until: Moment,
    now: Moment,
) -> Result<(), Refusal> {
    let owner = Owner {
        partner: partner.to_owned(),
    };
    let key = format!("request/{identifier}");
    put(store, key, KNOWN, &owner, until, now).await.map(drop)
}

/// Whether a request is a partner's.
pub(super) async fn is_of(store: &Store, identifier: &str, partner: &str) -> Result<bool, Refusal> {
    let key = format!("request/{identifier}");
    let errand = store.find(KIND, &key).await.map_err(Refusal::from)?;
    Ok(errand
        .filter(|e| e.standing() == Standing::Open)
        .and_then(|e| serde_json::from_slice::<Owner>(e.body()).ok())
        .is_some_and(|owner| owner.partner == partner))
}

/// Ends the waiting for a callback, and wipes what was kept for it.
pub(super) async fn forget(store: &Store, id: &str, now: Moment) -> Result<(), Refusal> {
    let (step, body) = (Some(OVER.to_owned()), Some(b"{}".to_vec()));
    store
        .resume(KIND, &Expected::key(id), step, body, now)
        .await
        .map_err(Refusal::from)
        .map(drop)
}

/// A name that nobody guesses. In hexadecimal digits: it is a segment of paths and a part of correlation ids.
pub(super) fn new_id() -> Result<String, Refusal> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| Refusal::new(Code::Fault, "no random bytes"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

async fn put(
    store: &Store,
    key: String,
    step: &'static str,
    content: &impl Serialize,
    due: Moment,
    now: Moment,
) -> Result<Put, Refusal> {
    let body = serde_json::to_vec(content)
        .map_err(|_| Refusal::new(Code::Fault, "a record cannot be written"))?;
    let new = NewErrand {
        kind: KIND,
        key,
        step,
        body,
        due,
    };
    store.put(new, now).await.map_err(Refusal::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::Secret, store::Location};

    const NOW: Moment = Moment::from_s(100);
    const LATER: Moment = Moment::from_s(1_000);

    fn store(folder: &std::path::Path) -> Store {
        let keys = vec![Secret::new(vec![7; 32])];
        Store::open(&Location::sqlite(folder.join("store.db"), keys)).expect("a store")
    }

    fn expected() -> Expected {
        Expected {
            partner: "crvs".to_owned(),
            sent_to: "mts".to_owned(),
            target: "odoo".to_owned(),
            path: "/x".to_owned(),
            method: "PUT".to_owned(),
            shown: Shown::None,
        }
    }

    #[tokio::test]
    async fn a_request_is_known_to_who_made_it_and_to_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        remember(&store, "r1", "crvs", LATER, NOW)
            .await
            .expect("stored");
        assert!(is_of(&store, "r1", "crvs").await.expect("read"));
        assert!(!is_of(&store, "r1", "seeder").await.expect("read"));
        assert!(!is_of(&store, "r2", "crvs").await.expect("read"));
    }

    #[tokio::test]
    async fn a_callback_is_waited_for_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        expected()
            .put(&store, "c1", LATER, NOW)
            .await
            .expect("stored");
        assert!(Expected::find(&store, "c1").await.expect("read").is_some());
        assert!(expected().put(&store, "c1", LATER, NOW).await.is_err());
        forget(&store, "c1", NOW).await.expect("forgotten");
        assert!(Expected::find(&store, "c1").await.expect("read").is_none());
    }

    #[tokio::test]
    async fn a_delivery_that_comes_twice_is_stored_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let delivery = |id: &str| Delivery {
            callback: "c1".to_owned(),
            id: id.to_owned(),
            media_type: None,
            body: String::new(),
        };
        assert_eq!(
            delivery("a").put(&store, NOW).await.expect("put"),
            Put::Stored
        );
        let again = delivery("a").put(&store, NOW).await.expect("put");
        assert_eq!(again, Put::Known(Standing::Open));
        assert_eq!(
            delivery("b").put(&store, NOW).await.expect("put"),
            Put::Stored
        );
    }
}
