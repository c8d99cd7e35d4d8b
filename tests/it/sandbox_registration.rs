//! The registration side of the embedded MOSIP, and the stand-in for OpenCRVS core, seen from outside: curl asks, a
//! subscriber and a checker in Python listen. Nothing of the gateway's is in it.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    harness::{Process, World, free_ports, run, until},
    python,
};

const HUB_SECRET: &str = "a secret of the subscriber";
const LOGIN: &str = "/v1/authmanager/authenticate/clientidsecretkey";
const PACKET: &str = "/commons/v1/packetmanager/createPacket";
const WORKFLOW: &str = "/registrationprocessor/v1/workflowmanager/workflowinstance";

/// What curl got.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    text: String,
}

impl Got {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    #[track_caller]
    fn code(&self) -> String {
        self.json()["errors"][0]["errorCode"]
            .as_str()
            .unwrap_or_else(|| panic!("{self:?}"))
            .to_owned()
    }
}

/// One call with curl.
fn curl(method: &str, address: &str, fields: &[String], body: &str) -> Got {
    let mut args = vec!["-sS", "-i", "--max-time", "20", "-X", method];
    for field in fields {
        args.extend(["-H", field.as_str()]);
    }
    args.extend(["--data-binary", "@-", address]);
    let output = run("curl", args, &[], body.as_bytes());
    let (head, text) = output.out.split_once("\r\n\r\n").unwrap_or_default();
    Got {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default(),
        head: head.to_ascii_lowercase(),
        text: text.to_owned(),
    }
}

/// The sandbox, for one test at a time: they share its hub and its faults.
struct Mosip {
    world: &'static World,
    scene: Value,
    _turn: MutexGuard<'static, ()>,
}

impl Mosip {
    fn turn() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let world = World::shared();
        let text = std::fs::read_to_string(world.dir().join("scene.json")).unwrap();
        Self {
            scene: serde_json::from_str(&text).unwrap(),
            world,
            _turn: turn,
        }
    }

    fn at(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.scene[service].as_str().unwrap())
    }

    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Got {
        let mut fields = vec!["Content-Type: application/json".to_owned()];
        // With the semicolon at the end that OpenCRVS sends.
        fields.extend(token.map(|token| format!("Cookie: Authorization={token};")));
        curl(method, &self.at("mosip", path), &fields, &body.to_string())
    }

    fn log_in(&self, client: &str) -> String {
        let secret = &self.scene["clients"][client];
        let got = self.ask("POST", LOGIN, None, &login(client, secret, "admin"));
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.json()["response"]["status"], "Success");
        let line = got
            .head
            .lines()
            .find(|line| line.starts_with("set-cookie: "))
            .unwrap();
        assert!(
            line.contains("httponly") && line.contains("path=/"),
            "{line}"
        );
        // The head is in lower case here; the token is not.
        let again = self.ask("POST", LOGIN, None, &login(client, secret, "admin"));
        assert_eq!(again.status, 200);
        raw_token(&self.at("mosip", LOGIN), &login(client, secret, "admin"))
    }

    fn fault(&self, service: &str, order: &Value) {
        let address = self.at(service, "/sandbox/fault");
        let got = curl("POST", &address, &[], &order.to_string());
        assert_eq!(got.status, 200, "{got:?}");
    }

    fn hub(&self, token: Option<&str>, form: &str) -> Got {
        let mut fields = vec!["Content-Type: application/x-www-form-urlencoded".to_owned()];
        fields.extend(token.map(|token| format!("Cookie: Authorization={token}")));
        curl("POST", &self.at("mosip", "/hub"), &fields, form)
    }

    fn subscribers(&self) -> Value {
        curl("GET", &self.at("mosip", "/sandbox/hub"), &[], "").json()
    }

    /// Packet and workflow of a registration.
    fn register(&self, token: &str, packet: &Value) {
        let made = self.ask("PUT", PACKET, Some(token), packet);
        assert_eq!(made.json()["response"][0]["id"], packet["request"]["id"]);
        let started = self.ask("POST", WORKFLOW, Some(token), &workflow(packet));
        assert_eq!(started.json()["errors"], Value::Null, "{started:?}");
    }

    /// What became of a registration, when it is over.
    fn outcome(&self, id: &str) -> Value {
        until("the packet is processed", || {
            let path = format!("/sandbox/workflows/{id}");
            let shown = curl("GET", &self.at("mosip", &path), &[], "").json();
            (shown["stage"] != "processing").then_some(shown)
        })
    }

    /// Checks a delivery in Python.
    fn check(&self, delivery: &Value) -> Value {
        let dir = self.world.dir();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let job = json!({
            "body": delivery["body"], "signature": delivery["headers"]["x-hub-signature"], "secret": HUB_SECRET,
            "key": dir.join("pki/parties/crvs/encryption.key.pem"),
            "certificate": dir.join("pki/parties/crvs/encryption.pem"),
            "contexts": root.join("src/credential/contexts"), "published": dir.join("mosip"),
        });
        python::lines("delivered.py", &job).remove(0)
    }
}

fn login(client: &str, secret: &Value, application: &str) -> Value {
    json!({
        "id": "string", "version": "string", "requesttime": "2026-01-01T00:00:00.000Z", "metadata": {},
        "request": {"clientId": client, "secretKey": secret, "appId": application},
    })
}

/// The token of a login, in its own case.
fn raw_token(address: &str, body: &Value) -> String {
    let output = run(
        "curl",
        [
            "-sS",
            "-o",
            "/dev/null",
            "-D",
            "-",
            "-X",
            "POST",
            "--data-binary",
            "@-",
            address,
        ],
        &[],
        body.to_string().as_bytes(),
    );
    let line = output
        .out
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("authorization: "))
        .unwrap();
    line.split_once(": ").unwrap().1.trim().to_owned()
}

fn spoken(value: &str) -> String {
    json!([{"language": "eng", "value": value}]).to_string()
}

fn birth(id: &str) -> Value {
    packet(
        id,
        "CRVS_NEW",
        &json!({
            "birthCertificateNumber": "B2026ABC", "fullName": spoken("Nova Example"), "gender": spoken("Female"),
            "dateOfBirth": "2026/01/02", "postalCode": "10001", "unknownToTheSchema": "x",
        }),
    )
}

fn packet(id: &str, process: &str, fields: &Value) -> Value {
    let known: serde_json::Map<String, Value> = fields
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| *name != "unknownToTheSchema")
        .map(|name| (name.clone(), json!({"fieldCategory": "pvt"})))
        .collect();
    let schema = json!({"properties": {"identity": {"properties": known}}});
    json!({
        "id": "string", "version": "string", "requesttime": "2026-01-01T00:00:00.000Z", "metadata": {},
        "request": {
            "id": id, "refId": "10001_10004", "offlineMode": false, "process": process, "source": "OPENCRVS",
            "schemaVersion": "0.100", "schemaJson": schema.to_string(), "fields": fields,
            "metaInfo": {"registrationId": "\"1\""}, "audits": [{"uuid": "1"}],
        },
    })
}

fn workflow(packet: &Value) -> Value {
    json!({
        "id": "mosip.registration.processor.workflow.instance", "version": "v1",
        "requesttime": "2026-01-01T00:00:00.000Z",
        "request": {
            "registrationId": packet["request"]["id"], "process": packet["request"]["process"], "source": "OPENCRVS",
            "additionalInfoReqId": "", "notificationInfo": {"name": "N", "phone": "", "email": ""},
        },
    })
}

/// A subscriber in Python.
struct Subscriber {
    process: Process,
    port: u16,
}

impl Subscriber {
    fn start(mosip: &Mosip) -> Self {
        let port = free_ports(1);
        let job = mosip.world.dir().join(format!("subscriber-{port}.json"));
        std::fs::write(&job, json!({"port": port}).to_string()).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/subscriber.py");
        let process = Process::start(
            python::interpreter(),
            [program, job],
            &[],
            mosip.world.dir(),
            &format!("subscriber-{port}"),
        );
        until("the subscriber is ready", || {
            assert!(process.runs(), "{}", process.err());
            process.out().contains("ready").then_some(())
        });
        Self { process, port }
    }

    fn callback(&self) -> String {
        format!("http://127.0.0.1:{}/websub/callback", self.port)
    }

    fn form(&self, mode: &str, topic: &str) -> String {
        let callback = self.callback();
        format!("hub.mode={mode}&hub.topic={topic}&hub.callback={callback}&hub.secret={HUB_SECRET}")
            .replace(' ', "+")
    }

    fn mind(&self, mind: &Value) {
        let address = format!("http://127.0.0.1:{}/control", self.port);
        assert_eq!(curl("POST", &address, &[], &mind.to_string()).status, 200);
    }

    fn received(&self, method: &str) -> Vec<Value> {
        let out = self.process.out();
        out.get(..out.rfind('\n').map_or(0, |n| n + 1))
            .unwrap()
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["method"] == method)
            .collect()
    }

    fn wait(&self, method: &str, count: usize) -> Vec<Value> {
        until("the subscriber has been called", || {
            let received = self.received(method);
            (received.len() >= count).then_some(received)
        })
    }

    /// Unsubscribed and verified.
    fn leave(&self, mosip: &Mosip, token: &str) {
        mosip.hub(
            Some(token),
            &self.form("unsubscribe", "crvs/CREDENTIAL_ISSUED"),
        );
        until("the subscription is gone", || {
            (mosip.subscribers() == json!([])).then_some(())
        });
    }

    /// Subscribed and verified.
    fn subscribe(&self, mosip: &Mosip, token: &str) {
        let got = mosip.hub(
            Some(token),
            &self.form("subscribe", "crvs/CREDENTIAL_ISSUED"),
        );
        assert_eq!((got.status, got.text.as_str()), (202, "hub.mode=accepted"));
        until("the subscription is active", || {
            let shown = mosip.subscribers();
            let active = shown
                .as_array()
                .unwrap()
                .iter()
                .any(|s| s["callback"] == self.callback().as_str() && s["active"] == true);
            active.then_some(())
        });
    }
}

#[test]
fn login_packet_and_workflow_refuse_as_mosip_does() {
    let mosip = Mosip::turn();
    let client = "mosip-regproc-client";
    let right = &mosip.scene["clients"][client];
    let ask = |body: &Value| mosip.ask("POST", LOGIN, None, body);

    let wrong = ask(&login(client, &json!("no"), "admin"));
    assert_eq!((wrong.status, wrong.code().as_str()), (500, "500"));
    let empty = ask(&login(client, &json!(""), "admin"));
    assert_eq!((empty.status, empty.code().as_str()), (200, "KER-ATH-019"));
    let realm = ask(&login(client, right, "nowhere"));
    assert_eq!((realm.status, realm.code().as_str()), (200, "KER-ATH-026"));

    let token = mosip.log_in(client);
    let hub_token = mosip.log_in("crvs");
    let validate = "/v1/authmanager/authorize/admin/validateToken";
    let check = |cookie: Option<&str>| {
        let fields: Vec<_> = cookie.map(|c| format!("Cookie: {c}")).into_iter().collect();
        curl("GET", &mosip.at("mosip", validate), &fields, "")
    };
    assert_eq!(check(None).code(), "KER-ATH-006");
    assert_eq!(check(Some("other=1")).code(), "KER-ATH-007");
    let bad = check(Some("Authorization=a.b.c"));
    assert_eq!((bad.status, bad.code().as_str()), (401, "KER-ATH-401"));
    let good = check(Some(&format!("Authorization={token}"))).json();
    assert_eq!(good["response"]["role"], "REGISTRATION_PROCESSOR,");
    assert_eq!(
        good["response"]["userId"],
        format!("service-account-{client}")
    );

    let packet = birth("100011234567890");
    let create = |token: Option<&str>, packet: &Value| mosip.ask("PUT", PACKET, token, packet);
    assert_eq!(create(None, &packet).status, 401);
    let forged = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(create(Some(&forged), &packet).status, 401);
    assert_eq!(create(Some(&hub_token), &packet).status, 403);
    for (pointer, value) in [
        ("/request/audits", json!([])),
        ("/request/schemaJson", json!("{}")),
        ("/request/schemaVersion", json!("one")),
        ("/request/refId", json!("10001_10005")),
        ("/request/id", json!("a/b")),
    ] {
        let mut bad = packet.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let got = create(Some(&token), &bad);
        assert_eq!(got.status, 200);
        assert_eq!(got.json()["response"], Value::Null, "{pointer}");
        assert_eq!(got.json()["errors"], json!([]), "{pointer}");
    }
    let mut bad = packet.clone();
    bad["request"]["process"] = json!("NEW");
    assert_eq!(create(Some(&token), &bad).code(), "KER-PUT-006");

    let start = |packet: &Value| mosip.ask("POST", WORKFLOW, Some(&token), &workflow(packet));
    assert_eq!(start(&packet).code(), "RPR-WIS-000", "no packet yet");
    let made = create(Some(&token), &packet).json();
    assert_eq!(made["errors"], json!([]));
    assert_eq!(made["response"][0]["packetName"], "100011234567890_id");
    create(Some(&token), &packet);
    let kept = curl(
        "GET",
        &mosip.at("mosip", "/sandbox/packets/100011234567890"),
        &[],
        "",
    )
    .json();
    assert_eq!(kept["written"], 2, "written over by id");
    assert_eq!(kept["fields"].get("unknownToTheSchema"), None);
    assert!(start(&packet).json()["response"]["workflowInstanceId"].is_string());
    assert_eq!(start(&packet).code(), "RPR-WIS-001");

    mosip.fault("mosip", &json!({"kind": "token-short", "ms": 0}));
    let dead = mosip.log_in(client);
    // log_in asks three times; only the first token was short.
    assert_eq!(create(Some(&dead), &packet).status, 200);
    mosip.fault("mosip", &json!({"kind": "packet-hidden"}));
    assert_eq!(
        create(Some(&token), &packet).json()["response"],
        Value::Null
    );
    assert_eq!(create(Some(&token), &packet).json()["errors"], json!([]));
}

#[test]
fn a_birth_and_a_death_come_back_as_credentials_that_hold() {
    let mosip = Mosip::turn();
    let token = mosip.log_in("mosip-regproc-client");
    let hub = mosip.log_in("crvs");
    let subscriber = Subscriber::start(&mosip);
    subscriber.subscribe(&mosip, &hub);

    mosip.register(&token, &birth("100010000000001"));
    let outcome = mosip.outcome("100010000000001");
    let delivery = subscriber.wait("POST", 1).remove(0);
    assert_eq!(delivery["headers"]["content-type"], "application/json");
    let link = delivery["headers"]["link"].as_str().unwrap();
    assert!(
        link.ends_with(">; rel=\"hub\", crvs/CREDENTIAL_ISSUED; rel=\"self\""),
        "{link}"
    );
    let found = mosip.check(&delivery);
    assert_eq!(found["hmac"], true, "{found}");
    assert_eq!(found["proof"], true, "{found}");
    let event = &found["event"]["event"];
    assert_eq!(event["data"]["registrationId"], "100010000000001");
    assert_eq!(event["data"]["credentialType"], "vercred");
    assert_eq!(event["transactionId"], outcome["requestId"]);
    let subject = &found["credential"]["credentialSubject"];
    assert_eq!(
        subject["id"],
        "http://credential.idrepo/credentials/100010000000001"
    );
    assert_eq!(subject["birthCertificateNumber"], "B2026ABC");
    let uin = subject["VID"].as_str().unwrap().to_owned();
    assert_eq!(outcome["uin"], uin.as_str());

    let fields = json!({"UIN": uin, "declaredAsDeceased": "Y", "typeOfDeath": "NATURAL"});
    mosip.register(&token, &packet("100010000000002", "CRVS_DEATH", &fields));
    assert_eq!(mosip.outcome("100010000000002")["stage"], "processed");
    let found = mosip.check(&subscriber.wait("POST", 2)[1]);
    assert_eq!(found["proof"], true, "{found}");
    let subject = found["credential"]["credentialSubject"]
        .as_object()
        .unwrap();
    assert_eq!(subject.len(), 2, "{subject:?}");

    // Nobody dies twice, and nobody is told that it failed.
    mosip.register(&token, &packet("100010000000003", "CRVS_DEATH", &fields));
    assert_eq!(mosip.outcome("100010000000003")["stage"], "failed");

    for (kind, proof, opened) in [
        ("credential-forged", json!(false), true),
        ("credential-altered", json!(false), true),
        ("credential-mock-form", json!(false), true),
        ("credential-other-subject", json!(true), true),
        ("credential-other-recipient", Value::Null, false),
    ] {
        mosip.fault("mosip", &json!({"kind": kind}));
        let before = subscriber.received("POST").len();
        let id = format!("10001{kind}");
        mosip.register(&token, &birth(&id));
        let found = mosip.check(&subscriber.wait("POST", before + 1)[before]);
        assert_eq!(
            (&found["opened"], &found["proof"]),
            (&json!(opened), &proof),
            "{kind}"
        );
    }
    subscriber.leave(&mosip, &hub);
}

#[test]
fn the_hub_behaves_as_mosips_hub_does() {
    let mosip = Mosip::turn();
    let token = mosip.log_in("mosip-regproc-client");
    let hub = mosip.log_in("crvs");
    let subscriber = Subscriber::start(&mosip);
    let topic = "crvs/CREDENTIAL_ISSUED";

    let refused = "hub.mode=denied&hub.reason=Subscriber is not authorized";
    for (who, topic) in [
        (None, topic),
        (Some(token.as_str()), topic),
        (Some(hub.as_str()), "seeder/CREDENTIAL_ISSUED"),
        (Some(hub.as_str()), "crvs/REMOVE_ID"),
        (Some(hub.as_str()), "MISP_UPDATED"),
    ] {
        let got = mosip.hub(who, &subscriber.form("subscribe", topic));
        assert_eq!((got.status, got.text.as_str()), (500, refused), "{topic}");
    }
    for form in [
        "",
        "hub.mode=unregister&hub.topic=x",
        "hub.mode=subscribe&hub.topic=x",
    ] {
        assert_eq!(mosip.hub(Some(&hub), form).status, 400, "{form}");
    }
    let publish = mosip.at("mosip", &format!("/hub?hub.mode=publish&hub.topic={topic}"));
    let fields = [
        "Content-Type: application/json".to_owned(),
        format!("Cookie: Authorization={hub}"),
    ];
    let got = curl("POST", &publish, &fields, "{}");
    assert_eq!(got.status, 200, "a denial is HTTP 200");
    assert_eq!(
        got.text,
        "hub.mode=denied&hub.reason=Publisher is not authorized"
    );

    // An answer that is not the challenge, byte for byte, leaves no subscription.
    subscriber.mind(&json!({"get": "space"}));
    mosip.hub(Some(&hub), &subscriber.form("subscribe", topic));
    let asked = subscriber.wait("GET", 1).remove(0);
    assert_eq!(asked["query"]["hub.mode"], "subscribe");
    assert_eq!(asked["query"]["hub.topic"], topic);
    assert_eq!(asked["query"]["hub.lease_seconds"], "86400");
    assert_eq!(mosip.subscribers(), json!([]));

    subscriber.mind(&json!({"get": "echo"}));
    subscriber.subscribe(&mosip, &hub);
    mosip.hub(Some(&hub), &subscriber.form("subscribe", topic));
    let denied = subscriber.wait("GET", 3).remove(2);
    assert_eq!(denied["query"]["hub.mode"], "denied");
    assert_eq!(
        denied["query"]["hub.reason"],
        "Subscriber has already registered with the Hub"
    );

    mosip.fault("mosip", &json!({"kind": "deliver-twice"}));
    mosip.register(&token, &birth("1000100000001"));
    let twice = subscriber.wait("POST", 2);
    assert_eq!(twice[0]["body"], twice[1]["body"]);

    // One answer that is no success stops everything, until somebody subscribes.
    subscriber.mind(&json!({"post": [500]}));
    mosip.register(&token, &birth("1000100000002"));
    subscriber.wait("POST", 3);
    until("the consumer has stopped", || {
        (mosip.subscribers()[0]["active"] == false).then_some(())
    });
    mosip.register(&token, &birth("1000100000003"));
    mosip.outcome("1000100000003");
    assert_eq!(subscriber.received("POST").len(), 3);
    subscriber.subscribe(&mosip, &hub);
    let all = subscriber.wait("POST", 5);
    assert_eq!(
        all[2]["body"], all[3]["body"],
        "the refused one comes again"
    );
    assert_ne!(all[3]["body"], all[4]["body"]);

    // A hub that restarts before its commit delivers once more.
    let again = json!({"topic": topic, "events": 1}).to_string();
    let address = mosip.at("mosip", "/sandbox/hub/again");
    assert_eq!(curl("POST", &address, &[], &again).status, 200);
    let all = subscriber.wait("POST", 6);
    assert_eq!(all[4]["body"], all[5]["body"]);

    for (kind, sent) in [
        ("deliver-unsigned", false),
        ("deliver-wrong-signature", true),
    ] {
        mosip.fault("mosip", &json!({"kind": kind}));
        let before = subscriber.received("POST").len();
        mosip.register(&token, &birth(&format!("1000100000-{kind}")));
        let delivery = subscriber.wait("POST", before + 1).remove(before);
        assert_eq!(delivery["headers"]["x-hub-signature"].is_string(), sent);
        assert_eq!(mosip.check(&delivery)["hmac"], false);
    }

    // 410 ends the subscription; a new one starts at the latest event.
    subscriber.mind(&json!({"post": [410]}));
    let before = subscriber.received("POST").len();
    mosip.register(&token, &birth("1000100000009"));
    subscriber.wait("POST", before + 1);
    until("the subscription is gone", || {
        (mosip.subscribers() == json!([])).then_some(())
    });
    subscriber.subscribe(&mosip, &hub);
    assert_eq!(mosip.subscribers()[0]["delivered"], 0);
    assert_eq!(subscriber.received("POST").len(), before + 1);

    subscriber.leave(&mosip, &hub);
    let asked = subscriber.received("GET").pop().unwrap();
    assert_eq!(asked["query"]["hub.mode"], "unsubscribe");
    assert_eq!(asked["query"].get("hub.lease_seconds"), None);
}

#[test]
fn core_takes_a_confirmation_once_and_only_with_the_right_token() {
    let mosip = Mosip::turn();
    let post = |path: &str, body: &Value| {
        curl("POST", &mosip.at("core", path), &[], &body.to_string()).json()
    };
    let action = post("/sandbox/actions", &json!({"kind": "birth"}));
    let text = |name: &str| action[name].as_str().unwrap().to_owned();
    let (event, id) = (text("eventId"), text("actionId"));
    let token = |order: Value| {
        post("/sandbox/token", &order)["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let input = json!({
        "transactionId": "mosip-interop-1", "eventId": event, "actionId": id,
        "registrationNumber": "B1", "declaration": {"child.nid": "2707925500"},
    });
    let call = |token: &str, what: &str, input: &Value| {
        let fields = [
            "Content-Type: application/json".to_owned(),
            format!("Authorization: Bearer {token}"),
        ];
        let address = mosip.at(
            "core",
            &format!("/events/event.actions.register.{what}?batch=1"),
        );
        curl(
            "POST",
            &address,
            &fields,
            &json!({"0": {"json": input}}).to_string(),
        )
    };
    let ids = json!({"eventId": event, "actionId": id});
    let with = |more: Value| {
        let mut order = ids.clone();
        order
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        token(order)
    };

    for (bad, status) in [
        (with(json!({"forged": true})), 401),
        (with(json!({"expiresIn": -1})), 401),
        (with(json!({"iss": "somebody"})), 401),
        (with(json!({"aud": ["opencrvs:search-user"]})), 401),
        (with(json!({"scope": ["record.reject-registration"]})), 403),
        (with(json!({"actionId": "another"})), 403),
        (with(json!({"eventId": "another"})), 403),
    ] {
        let got = call(&bad, "accept", &input);
        assert_eq!(got.status, status, "{got:?}");
        assert_eq!(got.json()[0]["error"]["json"]["data"]["httpStatus"], status);
    }
    let stranger = json!({"eventId": "e", "actionId": "a"});
    let mut unknown = input.clone();
    unknown["eventId"] = json!("e");
    unknown["actionId"] = json!("a");
    assert_eq!(call(&token(stranger), "accept", &unknown).status, 404);

    let right = text("token");
    mosip.fault("core", &json!({"kind": "error500", "times": 2}));
    assert_eq!(call(&right, "accept", &input).status, 500);
    assert_eq!(call(&right, "accept", &input).status, 500);
    for _ in 0..2 {
        let got = call(&right, "accept", &input);
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(
            got.json()[0]["result"]["data"]["json"]["id"],
            event.as_str()
        );
    }
    assert_eq!(call(&right, "reject", &input).status, 400, "too late");
    let shown = curl(
        "GET",
        &mosip.at("core", &format!("/sandbox/actions/{id}")),
        &[],
        "",
    )
    .json();
    assert_eq!((&shown["applied"], &shown["calls"]), (&json!(1), &json!(2)));
    assert_eq!(shown["declaration"]["child.nid"], "2707925500");

    let pem = curl("GET", &mosip.at("core", "/.well-known"), &[], "").text;
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    let file = mosip.world.dir().join("mosip/opencrvs-core.pem");
    assert_eq!(pem, std::fs::read_to_string(file).unwrap());
}
