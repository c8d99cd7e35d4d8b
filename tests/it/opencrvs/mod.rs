//! OpenCRVS without its middleware: registrations through both gateways and back, with every refusal by its name, and with
//! gateways that are killed.

mod kills;
mod refusals;
pub mod setup;
mod userinfo;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{harness::until, scripted::Said};
use setup::{CONFIRM, CREATE, Crvs, REGISTER, Record, WORKFLOW, accepted, refused};

#[test]
fn a_birth_becomes_a_packet_and_its_credential_a_confirmation() {
    let crvs = Crvs::started("opencrvs-birth", "");
    let birth = Record::birth();
    crvs.register(&birth);
    let id = crvs.at_mosip(&birth.number);
    assert!(id.starts_with("10001") && id.len() == 15, "{id}");
    let asked = crvs.mosip.asked();
    let packet = &asked[0].json()["request"];
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("PUT", CREATE)
    );
    for (name, value) in [
        ("id", json!(id)),
        ("refId", json!("10001_10004")),
        ("offlineMode", json!(false)),
        ("process", json!("CRVS_NEW")),
        ("source", json!("OPENCRVS")),
        ("schemaVersion", json!("0.100")),
        ("fields", birth.json()["requestFields"].clone()),
        ("metaInfo", birth.json()["metaInfo"].clone()),
        ("audits", json!([birth.json()["audit"]])),
    ] {
        assert_eq!(packet[name], value, "{name}");
    }
    let schema: Value = serde_json::from_str(packet["schemaJson"].as_str().unwrap()).unwrap();
    let known = schema["properties"]["identity"]["properties"]
        .as_object()
        .unwrap();
    assert!(
        packet["fields"]
            .as_object()
            .unwrap()
            .keys()
            .all(|field| known.contains_key(field))
    );
    let workflow = &asked[1].json();
    assert_eq!(
        (asked[1].method.as_str(), asked[1].path.as_str()),
        ("POST", WORKFLOW)
    );
    assert_eq!(
        workflow["request"],
        json!({"registrationId": id, "process": "CRVS_NEW", "source": "OPENCRVS", "additionalInfoReqId": "",
            "notificationInfo": {"name": "Ada Example", "phone": "", "email": ""}})
    );
    let waiting = crvs.show(&birth.key());
    assert_eq!(
        (&waiting["step"], &waiting["standing"]),
        (&json!("workflow-started"), &json!("open"))
    );

    assert_eq!(
        crvs.deliver("e1", &id, &birth.subject("2707925500")),
        Some(202)
    );
    let confirmation = crvs.confirmation(&birth.action, 0);
    assert_eq!(
        (confirmation.method.as_str(), confirmation.path.as_str()),
        ("POST", CONFIRM)
    );
    assert_eq!(
        confirmation.header("content-type"),
        Some("application/json")
    );
    assert_eq!(confirmation.header("accept"), Some("*/*"));
    assert!(
        confirmation
            .header("authorization")
            .unwrap()
            .starts_with("Bearer ey")
    );
    let text = String::from_utf8(confirmation.body.clone()).unwrap();
    let uuid = confirmation.json()["0"]["json"]["transactionId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        uuid.starts_with("mosip-interop-") && uuid.len() == 50,
        "{uuid}"
    );
    // Byte for byte.
    assert_eq!(
        text,
        format!(
            r#"{{"0":{{"json":{{"transactionId":"{uuid}","eventId":"{}","actionId":"{}","registrationNumber":"{}","declaration":{{"child.nid":"2707925500"}}}}}}}}"#,
            birth.event, birth.action, birth.number
        )
    );
    let done = crvs.standing(&birth.key(), "done");
    assert_eq!(done["step"], "confirmed");
    // One correlation id goes all the way.
    let correlation = done["correlationId"].as_str().unwrap();
    assert_eq!(asked[0].header("x-correlation-id"), Some(correlation));
    assert_eq!(confirmation.header("x-correlation-id"), Some(correlation));
    // The hub delivers again; nothing happens.
    assert_eq!(
        crvs.deliver("e1", &id, &birth.subject("2707925500")),
        Some(202)
    );
    assert_eq!(
        crvs.deliver("e2", &id, &birth.subject("2707925500")),
        Some(202)
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(crvs.confirmations(&birth.action).len(), 1);
    // Neither person nor token is in any output.
    let said =
        crvs.site.crvs().process().err() + &crvs.site.read("crvs/access.log") + &done.to_string();
    for canary in [
        "Nova",
        "2707925500",
        "Ada Example",
        &birth.token(&crvs)[..20],
    ] {
        assert!(!said.contains(canary), "{canary}");
    }
}

#[test]
fn a_death_is_confirmed_without_a_number_and_changes_nothing_in_the_declaration() {
    let crvs = Crvs::started("opencrvs-death", "");
    let death = Record::death();
    crvs.register(&death);
    let id = crvs.at_mosip(&death.number);
    let packet = &crvs.mosip.asked()[0].json()["request"];
    assert_eq!(packet["process"], "CRVS_DEATH");
    let mut fields = death.json()["requestFields"].clone();
    fields
        .as_object_mut()
        .unwrap()
        .remove("deathCertificateNumber");
    assert_eq!(packet["fields"], fields);
    crvs.deliver("e1", &id, &json!({}));
    let confirmation = crvs.confirmation(&death.action, 0);
    let input = &confirmation.json()["0"]["json"];
    assert_eq!(
        (&input["declaration"], &input["registrationNumber"]),
        (&json!({}), &json!(death.number))
    );
    crvs.standing(&death.key(), "done");
}

#[test]
fn the_same_registration_again_is_taken_and_changes_nothing() {
    let crvs = Crvs::started("opencrvs-again", "");
    let birth = Record::birth();
    let token = birth.token(&crvs);
    for _ in 0..3 {
        let answer = crvs.post(REGISTER, Some(&token), &birth.body()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let id = crvs.at_mosip(&birth.number);
    // Another token of the same record, such as after a second try of the registrar's.
    let other = Record {
        action: "another action".replace(' ', "-"),
        ..birth.clone()
    };
    crvs.register(&other);
    // The same number for another event is somebody else's.
    let stranger = Record {
        event: "event-of-others".to_owned(),
        ..birth.clone()
    };
    let answer = crvs
        .post(REGISTER, Some(&stranger.token(&crvs)), &stranger.body())
        .unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (409, "CRVS-011"));
    crvs.deliver("e1", &id, &birth.subject("2707925500"));
    crvs.confirmation(&other.action, 0);
    assert!(
        crvs.confirmations(&birth.action).is_empty(),
        "the newer token is the one that is used"
    );
    crvs.standing(&birth.key(), "done");
    // When it is done: the same again is taken; another action of the same event is confirmed with what is known.
    crvs.register(&other);
    let third = Record {
        action: "third-action".to_owned(),
        ..birth.clone()
    };
    crvs.register(&third);
    let confirmation = crvs.confirmation(&third.action, 0);
    assert_eq!(
        confirmation.json()["0"]["json"]["declaration"]["child.nid"],
        "2707925500"
    );
    crvs.standing(&birth.key(), "done");
    assert_eq!(crvs.transactions(&birth.number), [id]);
}

#[test]
fn core_that_fails_for_a_while_is_asked_again_and_confirmed_once() {
    let crvs = Crvs::started("opencrvs-core-down", "");
    let birth = Record::birth();
    crvs.register(&birth);
    let id = crvs.at_mosip(&birth.number);
    let left = std::sync::atomic::AtomicUsize::new(3);
    crvs.core.now(move |_| {
        use std::sync::atomic::Ordering::SeqCst;
        match left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
            Ok(3) => Said::text(200, "text/html", "<html>a proxy's page</html>"),
            Ok(2) => refused(500, "INTERNAL_SERVER_ERROR", "as ordered"),
            Ok(_) => Said::text(503, "text/plain", "away"),
            Err(_) => accepted(),
        }
    });
    crvs.deliver("e1", &id, &birth.subject("2707925500"));
    let (first, last) = (
        crvs.confirmation(&birth.action, 0),
        crvs.confirmation(&birth.action, 3),
    );
    assert_eq!(first.body, last.body);
    crvs.standing(&birth.key(), "done");
    assert_eq!(crvs.confirmations(&birth.action).len(), 4);
}

#[test]
fn what_core_will_never_take_is_parked_with_its_reason_and_can_be_tried_again() {
    let crvs = Crvs::started("opencrvs-parked", "");
    for (n, (said, reason)) in [
        (
            refused(400, "BAD_REQUEST", "Action has already been rejected."),
            "already rejected",
        ),
        (
            refused(404, "NOT_FOUND", "Action not found"),
            "does not know the action",
        ),
        (refused(403, "FORBIDDEN", "no"), "forbids"),
        (refused(401, "UNAUTHORIZED", "no"), "operator needed"),
    ]
    .into_iter()
    .enumerate()
    {
        let birth = Record::birth();
        crvs.register(&birth);
        let id = crvs.at_mosip(&birth.number);
        crvs.core.now(move |_| said.clone());
        crvs.deliver(&format!("e{n}"), &id, &birth.subject("2707925500"));
        let parked = crvs.standing(&birth.key(), "parked");
        assert!(
            parked["reason"].as_str().unwrap().contains(reason),
            "{parked}"
        );
        assert_eq!(parked["step"], "credential-received");
        let health = until("health speaks of it", || {
            let health = crvs.site.crvs().healthz().text();
            health.contains("parked").then_some(health)
        });
        assert!(health.contains("opencrvs"), "{health}");
        let pem = crvs.auth.pem();
        crvs.core.now(move |asked| match asked.path.as_str() {
            "/.well-known" => Said::text(200, "text/plain", pem.clone()),
            _ => accepted(),
        });
        let output = crvs.command(&["retry", &birth.key()]);
        assert_eq!(output.code, 0, "{}", output.all());
        crvs.confirmation(&birth.action, 1);
        crvs.standing(&birth.key(), "done");
    }
}

#[test]
fn a_packet_that_mosip_will_never_take_is_parked_and_a_new_try_resumes_it() {
    let crvs = Crvs::started("opencrvs-packet-parked", "");
    crvs.mosip.now(|_| {
        Said::json(
            200,
            &json!({"response": null, "errors": [{"errorCode": "KER-PUT-006", "message": "x"}]}),
        )
    });
    let birth = Record::birth();
    crvs.register(&birth);
    let parked = crvs.standing(&birth.key(), "parked");
    let reason = parked["reason"].as_str().unwrap();
    assert!(
        reason.contains("createPacket") && reason.contains("KER-PUT-006"),
        "{reason}"
    );
    crvs.mosip.now(|asked| {
        let id = asked.json()["request"]["id"].clone();
        match asked.path.as_str() {
            CREATE => Said::json(200, &json!({"response": [{"id": id}], "errors": null})),
            _ => Said::json(
                200,
                &json!({"response": {"workflowInstanceId": "1"}, "errors": null}),
            ),
        }
    });
    crvs.register(&birth);
    until("it goes on", || {
        (crvs.show(&birth.key())["step"] == "workflow-started").then_some(())
    });
}

#[test]
fn a_token_that_ended_before_mosip_decided_is_parked_until_a_new_one_comes() {
    let crvs = Crvs::started("opencrvs-token-over", "");
    let birth = Record::birth();
    let soon = json!({"exp": crate::harness::now().s() + 2});
    let token = crvs.auth.token(&birth.event, &birth.action, soon);
    let answer = crvs.post(REGISTER, Some(&token), &birth.body()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = crvs.at_mosip(&birth.number);
    std::thread::sleep(Duration::from_secs(3));
    crvs.deliver("e1", &id, &birth.subject("2707925500"));
    let parked = crvs.standing(&birth.key(), "parked");
    assert!(
        parked["reason"]
            .as_str()
            .unwrap()
            .contains("the token ended"),
        "{parked}"
    );
    assert!(crvs.confirmations(&birth.action).is_empty());
    crvs.register(&birth);
    crvs.confirmation(&birth.action, 0);
    crvs.standing(&birth.key(), "done");
}

#[test]
fn a_credential_that_does_not_fit_its_registration_confirms_nothing() {
    let crvs = Crvs::started("opencrvs-credentials", "");
    let birth = Record::birth();
    crvs.register(&birth);
    let id = crvs.at_mosip(&birth.number);
    let other_number = json!({"VID": "2707925500", "birthCertificateNumber": "B-OTHER"});
    crvs.deliver("e1", &id, &other_number);
    crvs.deliver("e2", &id, &json!({"birthCertificateNumber": birth.number}));
    crvs.deliver("e3", &id, &birth.subject("27079<script>"));
    crvs.deliver("e4", "100010000000000", &birth.subject("2707925500"));
    let parked = until("the deliveries are parked", || {
        let config = crvs.site.path("crvs/gateway.toml").display().to_string();
        let args = [
            "deliveries",
            "--config",
            &config,
            "list",
            "--standing",
            "parked",
        ];
        let output = crate::harness::triseal(args);
        (output.out.lines().count() >= 4).then_some(output.out)
    });
    for reason in [
        "another certificate number",
        "no national id",
        "no registration with that id",
    ] {
        assert!(parked.contains(reason), "{reason}: {parked}");
    }
    assert_eq!(crvs.show(&birth.key())["step"], "workflow-started");
    // The right one still comes through, and a second, different number does not.
    crvs.deliver("e5", &id, &birth.subject("2707925500"));
    crvs.confirmation(&birth.action, 0);
    crvs.deliver("e6", &id, &birth.subject("9999999999"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(crvs.confirmations(&birth.action).len(), 1);
}

#[test]
fn health_speaks_of_a_credential_that_does_not_come_and_the_registration_waits_on() {
    let crvs = Crvs::started("opencrvs-late", "credential_due_s = 1\n");
    let birth = Record::birth();
    crvs.register(&birth);
    let id = crvs.at_mosip(&birth.number);
    until("health speaks of it", || {
        crvs.site
            .crvs()
            .healthz()
            .text()
            .contains("waited for its credential")
            .then_some(())
    });
    assert!(
        crvs.site
            .crvs()
            .metric("triseal_errands", &["opencrvs", "workflow-started"])
            > 0.0
    );
    crvs.deliver("e1", &id, &birth.subject("2707925500"));
    crvs.confirmation(&birth.action, 0);
}

#[test]
fn verify_says_yes_and_no_as_ida_does() {
    let crvs = Crvs::started("opencrvs-verify", "");
    let token = crvs.auth.token("e", "a", json!({"scope": ["record.read"]}));
    let people = triseal::sandbox::people::all();
    let of = |n: usize| {
        let person = &people[n];
        let english = |texts: &[triseal::sandbox::people::Text]| {
            texts
                .iter()
                .find(|t| t.language == "eng")
                .unwrap()
                .value
                .clone()
        };
        let name = english(&person.name);
        let (first, last) = name.rsplit_once(' ').unwrap();
        json!({
            "nid": person.uin, "dob": person.date_of_birth.replace('/', "-"), "gender": english(&person.gender),
            "name": {"firstname": first, "surname": last},
        })
    };
    let ask = |body: &Value| {
        let answer = crvs
            .post("/verify", Some(&token), body.to_string().as_bytes())
            .unwrap();
        (answer.status, answer.text())
    };
    let person = of(0);
    assert_eq!(ask(&person), (200, "verified".to_owned()));
    assert_eq!(
        ask(&of(3)),
        (200, "verified".to_owned()),
        "an apostrophe in the name"
    );
    let mut other = person.clone();
    other["dob"] = json!("1987-11-26");
    assert_eq!(ask(&other), (200, "failed".to_owned()));
    other = person.clone();
    other["name"]["surname"] = json!("Exemple");
    assert_eq!(ask(&other), (200, "failed".to_owned()));
    // A number whose check digit is wrong is the caller's mistake.
    other = person.clone();
    let nid = person["nid"].as_str().unwrap();
    let (digits, check) = nid.split_at(9);
    other["nid"] = json!(format!(
        "{digits}{}",
        (check.parse::<u8>().unwrap() + 1) % 10
    ));
    let (status, text) = ask(&other);
    assert_eq!(status, 400, "{text}");
    assert!(
        text.contains("CRVS-013") && text.contains("IDA-MLC-"),
        "{text}"
    );
    for (wrong, member) in [
        (
            json!({"dob": "1990-01-01", "name": {"firstname": "X", "surname": "Y"}}),
            "nid",
        ),
        (
            json!({"nid": "1", "dob": "01.01.1990", "name": {"firstname": "X", "surname": "Y"}}),
            "dob",
        ),
        (
            json!({"nid": "1", "dob": "1990-01-01", "name": {"firstname": "X"}}),
            "name.surname",
        ),
    ] {
        let answer = crvs
            .post("/verify", Some(&token), wrong.to_string().as_bytes())
            .unwrap();
        assert_eq!(
            (answer.status, &answer.json()["member"]),
            (400, &json!(member)),
            "{}",
            answer.text()
        );
    }
    // The scope of a registration is not that of a verification.
    let answer = crvs
        .post(
            "/verify",
            Some(&Record::birth().token(&crvs)),
            person.to_string().as_bytes(),
        )
        .unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "CRVS-007"));
}
