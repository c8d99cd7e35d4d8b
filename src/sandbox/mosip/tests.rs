//! The hub's losses and the login's clock, in process; the wire is tested from outside (`tests/it/sandbox_registration.rs`).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::sandbox::{
    ida::tests::ida,
    server::{Running, serve},
};

/// A subscriber that answers deliveries with the statuses it is given, 200 after that.
#[derive(Clone, Default)]
struct Subscriber {
    statuses: Arc<Mutex<VecDeque<u16>>>,
    got: Arc<Mutex<Vec<Value>>>,
}

#[async_trait]
impl Handler for Subscriber {
    async fn handle(&self, _: &Caller, request: Request<Bytes>) -> IdaAnswer {
        if request.method() == Method::GET {
            let query = wire::form(request.uri().query().unwrap().as_bytes()).unwrap();
            let challenge = query.get("hub.challenge").cloned().unwrap_or_default();
            return wire::text(StatusCode::OK, &challenge);
        }
        let event = serde_json::from_slice(request.body()).unwrap();
        self.got.lock().unwrap().push(event);
        let status = self.statuses.lock().unwrap().pop_front().unwrap_or(200);
        wire::text(StatusCode::from_u16(status).unwrap(), "")
    }
}

impl Subscriber {
    async fn listen(&self) -> (Running, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = serve(listener, None, Arc::new(self.clone())).unwrap();
        let callback = format!("http://{}/callback", running.address());
        (running, callback)
    }

    fn numbers(&self) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        got.iter().map(|event| event["n"].clone()).collect()
    }

    async fn has(&self, numbers: &[u32]) {
        until(|| self.numbers() == numbers).await;
    }
}

async fn until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const TOPIC: &str = "crvs/CREDENTIAL_ISSUED";

fn mosip(clock: &Clock) -> Mosip {
    let partner = CredentialPartner {
        id: "crvs".to_owned(),
        certificate: Vec::new(),
    };
    let mut config = MosipConfig::new(partner, Register::of_the_sandbox()).unwrap();
    config.pace.hub.retry_interval = Duration::from_millis(1);
    config.pace.hub.retries = 2;
    config.clients = vec![ClientRecord {
        id: "crvs".to_owned(),
        secret: "s".to_owned(),
        roles: vec!["SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL".to_owned()],
    }];
    Mosip::new(config, Arc::new(ida()), clock.clone(), None::<fn(&str)>)
}

async fn token(mosip: &Mosip) -> String {
    let body = json!({"request": {"clientId": "crvs", "secretKey": "s", "appId": "admin"}});
    let answer = mosip.log_in(body.to_string().as_bytes(), mosip.now()).await;
    let value = &answer.headers["authorization"];
    value.to_str().unwrap().to_owned()
}

async fn subscribe(mosip: &Mosip, callback: &str) {
    subscribe_to(mosip, TOPIC, callback).await;
}

async fn subscribe_to(mosip: &Mosip, topic: &str, callback: &str) {
    let fields = [
        ("hub.topic", topic),
        ("hub.callback", callback),
        ("hub.secret", "s"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    mosip.subscribe_if_meant(&fields.into()).await;
}

fn publish(mosip: &Mosip, number: u32) {
    mosip.hub().publish(TOPIC, &json!({"n": number})).unwrap();
}

fn active(mosip: &Mosip) -> bool {
    let shown = json!(mosip.hub().shown());
    shown[0]["active"] == true
}

#[tokio::test]
async fn an_event_refused_within_a_batch_is_lost_with_the_rest_of_it() {
    let mosip = mosip(&Clock::system());
    let subscriber = Subscriber::default();
    let (running, callback) = subscriber.listen().await;
    // Stopped on the first event, so that the next five wait and are polled in batches of three.
    subscriber.statuses.lock().unwrap().push_back(500);
    subscribe(&mosip, &callback).await;
    publish(&mosip, 1);
    until(|| !active(&mosip)).await;
    for number in 2..=6 {
        publish(&mosip, number);
    }
    subscriber.statuses.lock().unwrap().extend([200, 500]);
    subscribe(&mosip, &callback).await;
    // 1 comes again, 2 is refused: 3, of the same batch, is committed already and never comes, nor does 2.
    subscriber.has(&[1, 1, 2]).await;
    until(|| !active(&mosip)).await;
    subscribe(&mosip, &callback).await;
    subscriber.has(&[1, 1, 2, 4, 5, 6]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_is_away_is_tried_thrice_and_gets_it_later() {
    let mosip = mosip(&Clock::system());
    let subscriber = Subscriber::default();
    let (running, callback) = subscriber.listen().await;
    subscribe(&mosip, &callback).await;
    let address = running.address();
    running.stop().await;
    publish(&mosip, 1);
    until(|| !active(&mosip)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let running = serve(listener, None, Arc::new(subscriber.clone())).unwrap();
    subscribe(&mosip, &callback).await;
    subscriber.has(&[1]).await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_published_before_the_first_subscription_never_comes() {
    let mosip = mosip(&Clock::system());
    let subscriber = Subscriber::default();
    let (running, callback) = subscriber.listen().await;
    publish(&mosip, 1);
    subscribe(&mosip, &callback).await;
    publish(&mosip, 2);
    subscriber.has(&[2]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_second_subscription_leaves_the_first_secret_in_force() {
    let mosip = mosip(&Clock::system());
    let subscriber = Subscriber::default();
    let (running, callback) = subscriber.listen().await;
    subscriber.statuses.lock().unwrap().push_back(500);
    subscribe(&mosip, &callback).await;
    publish(&mosip, 1);
    until(|| !active(&mosip)).await;
    let fields = [
        ("hub.topic", TOPIC),
        ("hub.callback", callback.as_str()),
        ("hub.secret", "another"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    mosip.subscribe_if_meant(&fields.into()).await;
    assert!(mosip.hub().holds_secret("s") && !mosip.hub().holds_secret("another"));
    running.stop().await;
}

#[tokio::test]
async fn a_token_is_good_until_its_last_second_and_not_for_other_keys() {
    let clock = Clock::standing_at(Moment::from_s(1_800_000_000));
    let mosip = mosip(&clock);
    let good = token(&mosip).await;
    clock.set(Moment::from_s(1_800_003_599));
    assert!(mosip.bearer_of(&good, mosip.now()).is_some());
    clock.set(Moment::from_s(1_800_003_600));
    assert!(mosip.bearer_of(&good, mosip.now()).is_none());
    let other = self::mosip(&clock);
    clock.set(Moment::from_s(1_800_000_000));
    assert!(other.bearer_of(&good, other.now()).is_none());
}

#[tokio::test]
async fn the_hub_reads_only_the_cookie_and_cuts_it_at_the_next_equals_sign() {
    let mosip = mosip(&Clock::system());
    let token = token(&mosip).await;
    let form = format!(
        "hub.mode=subscribe&hub.topic={TOPIC}&hub.callback=http://127.0.0.1:1/&hub.secret=s"
    );
    let ask = |name: &'static str, value: String| {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert("content-type", kind);
        headers.insert(name, HeaderValue::try_from(value).unwrap());
        mosip
            .ask_hub(&headers, "", form.as_bytes(), mosip.now())
            .status
    };
    assert_eq!(ask("authorization", format!("Bearer {token}")), 500);
    assert_eq!(ask("authorization", token.clone()), 500);
    assert_eq!(
        ask("cookie", format!("a=b; Authorization={token}=cut")),
        202
    );
}

#[tokio::test]
async fn what_partner_management_is_told_to_do_is_published_as_mosip_does_and_nothing_else_is() {
    let mosip = mosip(&Clock::system());
    let subscriber = Subscriber::default();
    let (running, callback) = subscriber.listen().await;
    for topic in TOPICS {
        subscribe_to(&mosip, topic, &format!("{callback}/{topic}")).await;
    }
    let order = |text: &str, from: &str| {
        let caller = Caller {
            address: from.parse().unwrap(),
            tls_certificate: None,
        };
        let body = text.as_bytes();
        mosip.only_here(&caller, &Method::POST, "partner-management", body)
    };
    for (wrong, status) in [
        (r#"{"partner": "partner-on", "status": "DEACTIVE"}"#, 404),
        (r#"{"apiKey": "1", "status": "DEACTIVE"}"#, 404),
        (r#"{"licence": "partner-one", "status": "NOT_ACTIVE"}"#, 404),
        (r#"{"policy": "policy-two", "status": "INACTIVE"}"#, 404),
        (r#"{"partner": "partner-one", "status": "INACTIVE"}"#, 400),
        (r#"{"partner": "partner-one", "status": "deactive"}"#, 400),
        (r#"{"partner": "partner-one"}"#, 400),
        (r#"{"status": "ACTIVE"}"#, 400),
        (
            r#"{"partner": "partner-one", "policy": "48213", "status": "ACTIVE"}"#,
            400,
        ),
        (
            r#"{"partner": "partner-one", "status": "ACTIVE", "x": 1}"#,
            400,
        ),
    ] {
        assert_eq!(order(wrong, "127.0.0.1:1").status, status, "{wrong}");
    }
    let good = r#"{"partner": "partner-one", "status": "DEACTIVE"}"#;
    assert_eq!(order(good, "192.0.2.1:1").status, 403);
    for text in [
        good,
        r#"{"apiKey": "735298", "status": "DEACTIVE"}"#,
        r#"{"licence": "misp-one", "status": "NOT_ACTIVE"}"#,
        r#"{"policy": "48213", "status": "INACTIVE"}"#,
    ] {
        assert_eq!(order(text, "127.0.0.1:1").status, 200, "{text}");
    }
    until(|| subscriber.got.lock().unwrap().len() >= 4).await;
    let got = subscriber.got.lock().unwrap().clone();
    assert_eq!(got.len(), 4);
    let data = |topic: &str| {
        let event = got.iter().find(|event| event["topic"] == topic).unwrap();
        let (publisher, event) = (&event["publisher"], &event["event"]);
        assert_eq!(&event["type"]["name"], publisher);
        assert!(event["id"].is_string() && event["timestamp"].is_string());
        event["data"].clone()
    };
    let partner = &data("PARTNER_UPDATED")["partnerData"];
    assert_eq!(
        (&partner["partnerId"], &partner["partnerStatus"]),
        (&json!("partner-one"), &json!("DEACTIVE"))
    );
    let pem = partner["certificateData"].as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    let key = &data("APIKEY_STATUS_UPDATED")["apiKeyData"];
    assert_eq!(
        (&key["apiKeyId"], &key["apiKeyStatus"]),
        (&json!("735298"), &json!("DEACTIVE"))
    );
    let licence = &data("MISP_LICENSE_UPDATED")["mispLicenseData"];
    assert_eq!(
        (&licence["mispId"], &licence["mispStatus"]),
        (&json!("misp-one"), &json!("NOT_ACTIVE"))
    );
    let policy = &data("POLICY_UPDATED")["policyData"];
    assert_eq!(policy["policyStatus"], "INACTIVE");
    assert_eq!(policy["policy"]["allowedAuthTypes"][0]["authType"], "demo");
    running.stop().await;
}
