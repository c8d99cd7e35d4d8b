//! Which credentials a registration takes.

use serde_json::json;

use super::*;
use crate::{
    clock::Moment,
    keys::Secret,
    store::{Location, NewErrand, Store},
};

async fn errand(kind: Kind, credential: Option<&str>) -> Errand {
    let transaction = Transaction {
        kind,
        tracking_id: "T".to_owned(),
        registration_number: "B1".to_owned(),
        transaction_id: "100011234567890".to_owned(),
        confirmation_id: "mosip-interop-1".to_owned(),
        event_id: "e".to_owned(),
        action_id: "a".to_owned(),
        token: Some("t".to_owned()),
        token_expires_s: 1,
        correlation_id: "c".to_owned(),
        digest: String::new(),
        packet: None,
        workflow: None,
        credential: credential.map(|number| Credential {
            number: Some(number.to_owned()),
            received_ms: 1,
        }),
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::sqlite(
        folder.path().join("s.db"),
        vec![Secret::new(vec![7; 32])],
    ))
    .unwrap();
    let now = Moment::from_s(1);
    let new = NewErrand {
        kind: "opencrvs",
        key: "k".to_owned(),
        step: "workflow-started",
        body: transaction.write(),
        due: now,
    };
    store.put(new, now).await.unwrap();
    store.find("opencrvs", "k").await.unwrap().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
fn received(proven: Value, unproven: Value) -> CredentialReceived {
    CredentialReceived {
        registration_id: None,
        subject_id: "100011234567890".to_owned(),
        proven: proven.as_object().unwrap().clone(),
        unproven: unproven.as_object().unwrap().clone(),
    }
}

#[tokio::test]
async fn only_a_proven_number_that_fits_is_taken() {
    let birth = errand(Kind::Birth, None).await;
    let meet = |proven, unproven| meet(&birth, &received(proven, unproven), "VID", 1).1;
    assert_eq!(
        meet(
            json!({"VID": "2707925500"}),
            json!({"birthCertificateNumber": "B1"})
        ),
        CredentialTaken::Taken
    );
    assert_eq!(
        meet(json!({"VID": "2707925500"}), json!({})),
        CredentialTaken::Taken
    );
    for (proven, unproven, why) in [
        (json!({}), json!({"VID": "2707925500"}), "not covered"),
        (json!({}), json!({}), "no national id"),
        (json!({"VID": 2707925500_u64}), json!({}), "no national id"),
        (json!({"VID": "270792550x"}), json!({}), "no national id"),
        (json!({"VID": "2707"}), json!({}), "no national id"),
        (
            json!({"VID": "2707925500"}),
            json!({"birthCertificateNumber": "B2"}),
            "another certificate",
        ),
        (
            json!({"VID": "2707925500", "birthCertificateNumber": "B2"}),
            json!({}),
            "another certificate",
        ),
    ] {
        let taken = meet(proven, unproven);
        assert!(
            matches!(taken, CredentialTaken::Refused(reason) if reason.contains(why)),
            "{taken:?} {why}"
        );
    }
}

#[tokio::test]
async fn a_second_number_never_replaces_the_first() {
    let birth = errand(Kind::Birth, Some("2707925500")).await;
    let meet = |vid: &str| meet(&birth, &received(json!({"VID": vid}), json!({})), "VID", 1);
    let (revision, taken) = meet("2707925500");
    assert!(matches!(revision, Revision::Keep));
    assert_eq!(taken, CredentialTaken::Duplicate);
    assert!(matches!(meet("9999999999").1, CredentialTaken::Refused(_)));
}

#[tokio::test]
async fn a_death_needs_no_number() {
    let death = errand(Kind::Death, None).await;
    assert_eq!(
        meet(&death, &received(json!({}), json!({})), "VID", 1).1,
        CredentialTaken::Taken
    );
}
