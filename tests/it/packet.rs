//! Packets and workflows through both gateways, and the login at MOSIP that goes with them. MOSIP is scripted here, so that
//! it can answer in every way that it should not.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Reloaded, Site, World, now, triseal},
    scripted::{Asked, Said, Scripted},
};

pub const CREATE: &str = "/commons/v1/packetmanager/createPacket";
const WORKFLOW: &str = "/registrationprocessor/v1/workflowmanager/workflowinstance";
pub const SECRET: &str = "CANARY-client-secret-7a1f";
/// Stands in every token.
pub const SIGNATURE: &str = "CANARYtokenSignature9b2e";

/// A token that lives so long.
pub fn jwt(life_s: i64) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::SeqCst);
    let claims = json!({"exp": now().s() + life_s, "jti": n}).to_string();
    format!(
        "{}.{}.{SIGNATURE}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    )
}

/// authmanager's yes, with a token that lives so long.
pub fn logged_in(life_s: i64) -> Said {
    let cookie = format!(
        "Authorization={}; Max-Age=6000000; HttpOnly; Path=/",
        jwt(life_s)
    );
    Said::json(
        200,
        &json!({"response": {"status": "Success", "message": "x"}, "errors": null}),
    )
    .header("Set-Cookie", &cookie)
}

pub fn packet(id: &str) -> Value {
    json!({"id": "string", "version": "string", "requesttime": "2026-01-01T00:00:00.000Z", "request": {
        "id": id, "refId": "10001_10002", "offlineMode": false, "process": "CRVS_NEW", "source": "OPENCRVS",
        "schemaVersion": "0.100", "schemaJson": "{\"properties\":{\"identity\":{\"properties\":{}}}}",
        "fields": {"fullName": "[{\"language\":\"eng\",\"value\":\"Amina\"}]"}, "metaInfo": {"registrationId": "1"},
        "audits": [{"uuid": "1"}],
    }})
}

fn workflow(id: &str) -> Value {
    json!({"id": "mosip.registration.processor.workflow.instance", "version": "v1",
        "requesttime": "2026-01-01T00:00:00.000Z", "request": {"registrationId": id, "process": "CRVS_NEW",
        "source": "OPENCRVS", "additionalInfoReqId": "", "notificationInfo": {"name": "A", "phone": "", "email": ""}}})
}

/// What MOSIP says when all is well.
pub fn mosip(asked: &Asked) -> Said {
    let request = asked.json();
    match asked.path.as_str() {
        CREATE => {
            let id = &request["request"]["id"];
            let part = |name: &str| json!({"id": id, "packetName": format!("x_{name}"), "process": "CRVS_NEW"});
            Said::json(
                200,
                &json!({"id": "mosip.registration.packet.writer", "version": "v1",
                    "response": [part("id"), part("evidence")], "errors": []}),
            )
        }
        WORKFLOW => Said::json(200, &json!({"response": {"workflowInstanceId": "0f5c"}, "errors": null})),
        _ => Said::text(200, "text/plain", "a file"),
    }
    .header("Set-Cookie", asked.header("cookie").unwrap_or("none=1"))
}

/// Two gateways before a scripted MOSIP.
struct Scene {
    site: Site,
    authmanager: Scripted,
    mosip: Scripted,
}

/// A file that nobody else may read.
pub fn private(site: &Site, file: &str, text: &str) {
    site.write(file, text);
    std::process::Command::new("chmod")
        .args(["600", &site.path(file).display().to_string()])
        .status()
        .unwrap();
}

/// Doors for packets and files on both gateways, before a MOSIP at these ports.
pub fn configure(
    site: &Site,
    [authmanager, mosip]: [u16; 2],
    [client, secret]: [&str; 2],
    between: &str,
) {
    private(site, "misp/secrets/authmanager", secret);
    let routes = |face: &str, from: &str, upstream: &str, to: &str| {
        format!(
            r#"
[[route]]
name = "create-packet"
path = "{CREATE}"
handler = "packet"
from = {{ face = "{face}", envelope = "{from}" }}
to = {{ upstream = "{upstream}", envelope = "{to}" }}
packet = {{ processes = ["CRVS_NEW", "CRVS_DEATH"], sources = ["OPENCRVS"] }}

[[route]]
name = "workflow"
path = "{WORKFLOW}"
handler = "packet"
from = {{ face = "{face}", envelope = "{from}" }}
to = {{ upstream = "{upstream}", envelope = "{to}" }}
packet = {{ processes = ["CRVS_NEW", "CRVS_DEATH"], sources = ["OPENCRVS"] }}

[[route]]
name = "files"
path = "/files/{{rest}}"
handler = "relay"
methods = ["GET", "POST"]
from = {{ face = "{face}", envelope = "{from}" }}
to = {{ upstream = "{upstream}", envelope = "{to}" }}
"#
        )
    };
    site.append(
        "misp/gateway.toml",
        &format!(
            r#"
[[upstream]]
name = "authmanager"
addresses = ["http://127.0.0.1:{}"]
answer_timeout_ms = 3000

[[upstream]]
name = "registration"
addresses = ["http://127.0.0.1:{}"]
login = "registration"

[[login]]
name = "registration"
upstream = "authmanager"
client_id = "{client}"
secret = {{ file = "secrets/authmanager" }}
{}"#,
            authmanager,
            mosip,
            routes("partner", between, "registration", "insecure_plain")
        ),
    );
    site.append(
        "crvs/gateway.toml",
        &routes("service", "insecure_plain", "misp", between),
    );
    for file in ["misp/partners/crvs.toml", "crvs/partners/sdk.toml"] {
        site.edit(file, |text| {
            text.replacen(
                "routes = [",
                "routes = [\"create-packet\", \"workflow\", \"files\", ",
                1,
            )
        });
    }
}

impl Scene {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        let (authmanager, mosip) = (Scripted::start(|_| logged_in(600)), Scripted::start(mosip));
        configure(
            &site,
            [authmanager.port, mosip.port],
            ["mosip-crvs1-client", SECRET],
            "insecure_plain",
        );
        Self {
            site,
            authmanager,
            mosip,
        }
    }

    fn misp(name: &str) -> Self {
        let mut this = Self::new(name);
        this.site.start_misp();
        this
    }

    /// Asks the partner face.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.site.connect().ask(&http(method, path, "", body))
    }

    #[track_caller]
    fn create(&self, id: &str) -> Answer {
        self.ask("PUT", CREATE, packet(id).to_string().as_bytes())
    }

    /// Asks the partner's service face.
    fn service(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.site.service_face())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        stream.write_all(&http(method, path, "", body)).unwrap();
        Answer::read(&mut stream).expect("an answer")
    }

    fn health(&self) -> String {
        self.site.misp().healthz().text()
    }
}

pub fn http(method: &str, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend(body);
    out
}

/// Refused in MOSIP's envelope, with our code in header and body.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{}",
        answer.text()
    );
    assert!(
        answer.mosip_codes().contains(&code.to_owned()),
        "{}",
        answer.text()
    );
    assert_eq!(answer.json()["response"], Value::Null);
}

#[test]
fn a_packet_and_its_workflow_cross_both_gateways_with_a_token_that_nobody_else_sees() {
    let mut scene = Scene::new("packet-way");
    scene.site.start_misp();
    scene.site.start_crvs();
    // Indented, as OpenCRVS sends it: the bytes go on as they came.
    let body = serde_json::to_vec_pretty(&packet("BRN0001")).unwrap();
    let answer = scene.service("PUT", CREATE, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["response"][0]["id"], "BRN0001");
    let started = scene.service("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes());
    assert_eq!(started.json()["response"]["workflowInstanceId"], "0f5c");
    let asked = scene.mosip.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body, body);
    assert_eq!(asked[0].header("x-triseal-partner"), Some("crvs"));
    assert_eq!(asked[0].header("x-correlation-id").map(str::len), Some(32));
    let token = asked[0].header("cookie").unwrap();
    assert!(token.starts_with("Authorization=") && token.ends_with(SIGNATURE));
    assert_eq!(asked[1].header("cookie"), Some(token));
    let logins = scene.authmanager.asked();
    assert_eq!(logins.len(), 1);
    assert_eq!(
        logins[0].json()["request"],
        json!({"clientId": "mosip-crvs1-client", "secretKey": SECRET, "appId": "admin"})
    );
    for answer in [&answer, &started] {
        assert!(!format!("{answer:?}").contains(SIGNATURE), "{answer:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_mosip_calls_a_success_is_judged_by_its_content() {
    let scene = Scene::misp("packet-content");
    let ok = |body: Value| move |_: &Asked| Said::json(200, &body);
    let error = |code: &str| json!({"response": null, "errors": [{"errorCode": code, "message": "CANARY why"}]});
    type Script = Box<dyn Fn(&Asked) -> Said + Send + Sync>;
    let cases: Vec<(&str, Script, &str, u16, &str)> = vec![
        (
            "null",
            Box::new(ok(json!({"response": null, "errors": []}))),
            CREATE,
            502,
            "PKT-003",
        ),
        (
            "none",
            Box::new(ok(json!({"errors": null}))),
            CREATE,
            502,
            "PKT-003",
        ),
        (
            "empty",
            Box::new(ok(json!({"response": [], "errors": []}))),
            CREATE,
            502,
            "PKT-003",
        ),
        (
            "another id",
            Box::new(ok(json!({"response": [{"id": "BRN0002"}], "errors": []}))),
            CREATE,
            502,
            "PKT-004",
        ),
        (
            "one part of another id",
            Box::new(ok(
                json!({"response": [{"id": "BRN0001"}, {"id": "BRN0002"}]}),
            )),
            CREATE,
            502,
            "PKT-004",
        ),
        (
            "no array",
            Box::new(ok(json!({"response": {"id": "BRN0001"}}))),
            CREATE,
            502,
            "PKT-004",
        ),
        (
            "a string",
            Box::new(ok(json!("Unable to process"))),
            CREATE,
            502,
            "PKT-004",
        ),
        (
            "errors",
            Box::new(ok(error("KER-PUT-006"))),
            CREATE,
            502,
            "PKT-002",
        ),
        (
            "errors beside a packet",
            Box::new(ok(
                json!({"response": [{"id": "BRN0001"}], "errors": [{"errorCode": "KER-KPM-001"}]}),
            )),
            CREATE,
            502,
            "PKT-002",
        ),
        (
            "HTML",
            Box::new(|_: &Asked| Said::text(200, "text/html", "<html>")),
            CREATE,
            502,
            "PKT-004",
        ),
        (
            "500",
            Box::new(|_: &Asked| Said::text(500, "text/html", "oops")),
            CREATE,
            502,
            "UP-006",
        ),
        (
            "403",
            Box::new(|_: &Asked| {
                Said::json(403, &json!({"errors": [{"errorCode": "KER-ATH-403"}]}))
            }),
            CREATE,
            502,
            "LGN-004",
        ),
        (
            "a bare string",
            Box::new(ok(json!("Something went wrong"))),
            WORKFLOW,
            502,
            "PKT-004",
        ),
        (
            "no id",
            Box::new(ok(json!({"response": {"workflowInstanceId": ""}}))),
            WORKFLOW,
            502,
            "PKT-004",
        ),
        (
            "null",
            Box::new(ok(json!({"response": null, "errors": null}))),
            WORKFLOW,
            502,
            "PKT-003",
        ),
        (
            "errors",
            Box::new(ok(error("RPR-WIN-001"))),
            WORKFLOW,
            502,
            "PKT-002",
        ),
        (
            "already, and something else",
            Box::new(ok(
                json!({"errors": [{"errorCode": "RPR-WIS-001"}, {"errorCode": "RPR-WIS-000"}]}),
            )),
            WORKFLOW,
            502,
            "PKT-002",
        ),
    ];
    for (name, script, path, status, code) in cases {
        scene.mosip.now(script);
        let before = scene.mosip.times();
        let answer = if path == CREATE {
            scene.create("BRN0001")
        } else {
            scene.ask("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes())
        };
        assert_refused(&answer, status, code);
        assert!(!answer.text().contains("CANARY"), "{name}");
        assert_eq!(scene.mosip.times(), before + 1, "{name}: not asked again");
        assert_eq!(scene.site.misp().logged(&answer), code);
    }
    // MOSIP's own code stands before ours.
    scene.mosip.now(ok(error("RPR-WIN-001")));
    let answer = scene.ask("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes());
    assert_eq!(answer.mosip_codes(), ["RPR-WIN-001", "PKT-002"]);
    // A text that is no code is not passed on.
    scene.mosip.now(ok(error("<script>")));
    let answer = scene.ask("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes());
    assert_eq!(answer.mosip_codes(), ["PKT-002"]);
}

#[test]
fn a_workflow_that_was_there_already_is_a_success_on_both_sides() {
    let mut scene = Scene::new("packet-already");
    scene.site.start_misp();
    scene.site.start_crvs();
    scene.mosip.now(|_| {
        Said::json(
            200,
            &json!({"response": null, "errors": [{"errorCode": "RPR-WIS-001", "message": "WorkflowInstance already present"}]}),
        )
    });
    for answer in [
        scene.ask("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes()),
        scene.service("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes()),
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["errors"], Value::Null);
        assert_eq!(body["metadata"]["note"], "RPR-WIS-001");
    }
    // Only for workflows.
    assert_refused(&scene.create("BRN0001"), 502, "PKT-002");
}

#[test]
fn a_service_hears_what_the_misps_gateway_found() {
    let mut scene = Scene::new("packet-both");
    scene.site.start_misp();
    scene.site.start_crvs();
    scene
        .mosip
        .now(|_| Said::json(200, &json!({"response": null, "errors": []})));
    let body = packet("BRN0001").to_string();
    assert_refused(
        &scene.service("PUT", CREATE, body.as_bytes()),
        502,
        "PKT-003",
    );
    scene
        .mosip
        .now(|_| Said::json(200, &json!({"errors": [{"errorCode": "KER-PUT-006"}]})));
    let answer = scene.service("PUT", CREATE, body.as_bytes());
    assert_refused(&answer, 502, "PKT-002");
    assert_eq!(answer.mosip_codes(), ["KER-PUT-006", "PKT-002"]);
    // And judges itself, should the MISP's gateway not have.
    let misp = Scripted::start(|_| Said::json(200, &json!({"response": null, "errors": []})));
    scene.site.append(
        "crvs/gateway.toml",
        &format!(
            "[[upstream]]\nname = \"lax\"\naddresses = [\"http://127.0.0.1:{}\"]",
            misp.port
        ),
    );
    scene.site.edit("crvs/gateway.toml", |text| {
        text.replace(
            "upstream = \"misp\", envelope = \"insecure_plain\"",
            "upstream = \"lax\", envelope = \"insecure_plain\"",
        )
    });
    assert_eq!(scene.site.crvs().reload(), Reloaded::Published);
    assert_refused(
        &scene.service("PUT", CREATE, body.as_bytes()),
        502,
        "PKT-003",
    );
    misp.now(|_| Said::json(200, &json!("Something went wrong")));
    let answer = scene.service("POST", WORKFLOW, workflow("BRN0001").to_string().as_bytes());
    assert_refused(&answer, 502, "PKT-004");
}

#[test]
fn what_is_not_listed_or_not_whole_does_not_reach_mosip() {
    let scene = Scene::new("packet-refused");
    scene.site.append(
        "misp/partners/crvs.toml",
        "[packet]\nprocesses = [\"CRVS_NEW\"]\nid_prefixes = [\"BRN\"]\nref_ids = [\"10001_10002\"]",
    );
    let mut scene = scene;
    scene.site.start_misp();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = packet("BRN0001");
        change(&mut body);
        body.to_string().into_bytes()
    };
    for (name, body, status, code) in [
        (
            "another process",
            with(&|b| b["request"]["process"] = "NEW".into()),
            403,
            "PKT-001",
        ),
        (
            "a process of the route alone",
            with(&|b| b["request"]["process"] = "CRVS_DEATH".into()),
            403,
            "PKT-001",
        ),
        (
            "another source",
            with(&|b| b["request"]["source"] = "REGISTRATION_CLIENT".into()),
            403,
            "PKT-001",
        ),
        (
            "somebody else's id",
            with(&|b| b["request"]["id"] = "DRN0001".into()),
            403,
            "PKT-001",
        ),
        (
            "another centre",
            with(&|b| b["request"]["refId"] = "10002_10002".into()),
            403,
            "PKT-001",
        ),
        (
            "no audits",
            with(&|b| b["request"]["audits"] = json!([])),
            400,
            "MSG-002",
        ),
        (
            "no request",
            with(&|b| b["request"] = Value::Null),
            400,
            "MSG-002",
        ),
        (
            "fields of objects",
            with(&|b| b["request"]["fields"] = json!({"a": {}})),
            400,
            "MSG-003",
        ),
        (
            "a schema without fields",
            with(&|b| b["request"]["schemaJson"] = "{}".into()),
            400,
            "MSG-003",
        ),
        (
            "twice",
            b"{\"request\":{},\"request\":{}}".to_vec(),
            400,
            "MSG-001",
        ),
        ("no JSON", b"<x/>".to_vec(), 400, "MSG-001"),
    ] {
        let answer = scene.ask("PUT", CREATE, &body);
        assert_refused(&answer, status, code);
        assert_eq!(scene.site.misp().logged(&answer), code, "{name}");
    }
    let body = packet("BRN0001").to_string();
    let post = scene.ask("POST", CREATE, body.as_bytes());
    assert_eq!((post.status, post.code().as_str()), (405, "RT-002"));
    let xml = String::from_utf8(http("PUT", CREATE, "", body.as_bytes())).unwrap();
    let xml = xml.replace("application/json", "application/xml");
    let answer = scene.site.connect().ask(xml.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (415, "RT-004"));
    assert_eq!((scene.mosip.times(), scene.authmanager.times()), (0, 0));
    assert_eq!(scene.create("BRN0001").status, 200);
}

#[test]
fn one_login_serves_all_who_wait_for_it() {
    let scene = Scene::misp("login-one");
    scene
        .authmanager
        .now(|_| logged_in(600).after(Duration::from_millis(700)));
    let scene = &scene;
    thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|n| scope.spawn(move || scene.create(&format!("BRN{n}")).status))
            .collect();
        for one in asking {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
    assert_eq!(scene.authmanager.times(), 1);
    assert_eq!(scene.mosip.times(), 20);
    let fetched = scene
        .site
        .misp()
        .metric("triseal_logins_total", &["registration", "fetched"]);
    assert!((fetched - 1.0).abs() < 0.1);
    let left = scene
        .site
        .misp()
        .metric("triseal_login_token_seconds_left", &["registration"]);
    assert!((500.0..=600.0).contains(&left), "{left}");
    // A reload that does not touch the login keeps its token.
    assert_eq!(scene.site.misp().reload(), Reloaded::Published);
    assert_eq!(scene.create("BRN99").status, 200);
    assert_eq!(scene.authmanager.times(), 1);
}

#[test]
fn a_token_is_renewed_before_it_ends_and_used_while_that_fails() {
    let scene = Scene::misp("login-renewal");
    scene.authmanager.now(|_| logged_in(8));
    assert_eq!(scene.create("BRN1").status, 200);
    assert_eq!(scene.create("BRN2").status, 200);
    assert_eq!(scene.authmanager.times(), 1);
    // In its last quarter, the next request renews it.
    scene
        .authmanager
        .now(|_| Said::text(503, "text/plain", "down"));
    thread::sleep(Duration::from_millis(6_100));
    assert_eq!(
        scene.create("BRN3").status,
        200,
        "the old token still holds"
    );
    assert_eq!(scene.authmanager.times(), 2);
    assert!(
        scene
            .health()
            .contains("login registration: authmanager cannot be reached")
    );
    scene.authmanager.now(|_| logged_in(600));
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(scene.create("BRN4").status, 200);
    let cookies: Vec<String> = (scene.mosip.asked().iter())
        .map(|a| a.header("cookie").unwrap().to_owned())
        .collect();
    assert_eq!(cookies[0], cookies[2]);
    assert_ne!(cookies[2], cookies[3]);
    assert!(!scene.health().contains("login registration"));
}

#[test]
fn a_wrong_secret_is_named_and_not_tried_again_and_again_until_it_is_corrected() {
    let scene = Scene::misp("login-wrong");
    scene.authmanager.now(|_| {
        Said::json(
            500,
            &json!({"errors": [{"errorCode": "500", "message": "401 Unauthorized"}]}),
        )
    });
    for n in 0..10 {
        assert_refused(&scene.create(&format!("BRN{n}")), 502, "LGN-001");
    }
    assert_eq!((scene.authmanager.times(), scene.mosip.times()), (1, 0));
    let health = scene.health();
    assert!(
        health.contains("login registration: client id, secret or application"),
        "{health}"
    );
    assert!(
        scene
            .site
            .misp()
            .metric("triseal_logins_total", &["LGN-001"])
            > 0.0
    );
    // A corrected secret is another login: it is tried at once.
    scene.authmanager.now(|asked| {
        assert_eq!(asked.json()["request"]["secretKey"], "CANARY-corrected");
        logged_in(600)
    });
    scene
        .site
        .write("misp/secrets/authmanager", "CANARY-corrected");
    assert_eq!(scene.site.misp().reload(), Reloaded::Published);
    assert_eq!(scene.create("BRN11").status, 200);
    assert!(!scene.health().contains("login registration"));
}

#[test]
fn each_way_in_which_a_login_fails_has_its_code() {
    for (name, said, code) in [
        (
            "field",
            Said::json(200, &json!({"errors": [{"errorCode": "KER-ATH-019"}]})),
            "LGN-001",
        ),
        (
            "realm",
            Said::json(200, &json!({"errors": [{"errorCode": "KER-ATH-026"}]})),
            "LGN-001",
        ),
        ("503", Said::text(503, "text/html", "x"), "LGN-002"),
        ("500", Said::text(500, "text/html", "x"), "LGN-002"),
        (
            "slow",
            logged_in(600).after(Duration::from_secs(4)),
            "LGN-002",
        ),
        (
            "no cookie",
            Said::json(200, &json!({"response": {"status": "Success"}})),
            "LGN-003",
        ),
        ("ended", logged_in(-1), "LGN-003"),
        (
            "padded",
            Said::json(200, &json!({})).header(
                "Set-Cookie",
                &format!("Authorization={}==; Path=/", jwt(600)),
            ),
            "LGN-003",
        ),
        (
            "no JWT",
            Said::json(200, &json!({})).header("Set-Cookie", "Authorization=some-token"),
            "LGN-003",
        ),
    ] {
        let scene = Scene::misp(&format!("login-{}", name.replace(' ', "-")));
        scene.authmanager.now(move |_| said.clone());
        assert_refused(&scene.create("BRN1"), 502, code);
        assert_eq!(
            (scene.authmanager.times(), scene.mosip.times()),
            (1, 0),
            "{name}"
        );
    }
    let mut scene = Scene::new("login-nobody");
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let alive = scene.authmanager.port;
    scene.site.replace(
        "misp/gateway.toml",
        &format!("127.0.0.1:{alive}"),
        &format!("127.0.0.1:{dead}"),
    );
    scene.site.start_misp();
    assert_refused(&scene.create("BRN1"), 502, "LGN-002");
}

#[test]
fn a_401_drops_the_token_and_is_tried_once_more_with_a_fresh_one() {
    let scene = Scene::misp("login-401");
    assert_eq!(scene.create("BRN1").status, 200);
    let old = scene.mosip.asked()[0].header("cookie").unwrap().to_owned();
    let unauthorised = || Said::json(401, &json!({"errors": [{"errorCode": "KER-ATH-401"}]}));
    scene.mosip.now(move |asked| {
        if asked.header("cookie") == Some(old.as_str()) {
            unauthorised()
        } else {
            mosip(asked)
        }
    });
    assert_eq!(scene.create("BRN2").status, 200);
    assert_eq!((scene.authmanager.times(), scene.mosip.times()), (2, 3));
    assert_eq!(scene.create("BRN3").status, 200);
    assert_eq!((scene.authmanager.times(), scene.mosip.times()), (2, 4));
    // A service that likes no token: two tries, then none but the first for a while.
    scene.mosip.now(move |_| unauthorised());
    assert_refused(&scene.create("BRN4"), 502, "LGN-004");
    assert_eq!((scene.authmanager.times(), scene.mosip.times()), (3, 6));
    for n in 0..5 {
        assert_refused(&scene.create(&format!("BRN5{n}")), 502, "LGN-004");
    }
    assert_eq!((scene.authmanager.times(), scene.mosip.times()), (3, 11));
    assert!(scene.health().contains("its tokens are refused"));
    // Any other refusal is nobody's token's fault, and is not repeated.
    scene.mosip.now(|_| Said::json(500, &json!({})));
    let before = scene.mosip.times();
    assert_refused(&scene.create("BRN6"), 502, "UP-006");
    assert_eq!(scene.mosip.times(), before + 1);
}

#[test]
fn a_relay_carries_the_token_in_place_of_the_callers_cookies_and_keeps_it() {
    let scene = Scene::misp("login-relay");
    let ask = |bytes: &[u8]| scene.site.connect().ask(bytes);
    let cookies =
        "Cookie: XAuthorization=forged; Authorization=forged\r\nAuthorization: Bearer forged\r\n";
    let answer = ask(&http("GET", "/files/a", cookies, b""));
    assert_eq!((answer.status, answer.text().as_str()), (200, "a file"));
    assert!(!format!("{answer:?}").contains(SIGNATURE), "{answer:?}");
    let asked = scene.mosip.asked();
    assert_eq!(
        asked[0]
            .headers
            .iter()
            .filter(|(n, _)| n == "cookie")
            .count(),
        1
    );
    assert!(asked[0].header("cookie").unwrap().ends_with(SIGNATURE));
    assert_eq!(asked[0].header("authorization"), None);
    // Without a body, a 401 is tried again; a body that was streamed cannot be sent twice.
    let old = asked[0].header("cookie").unwrap().to_owned();
    scene.mosip.now(move |asked| {
        let old = asked.header("cookie") == Some(old.as_str());
        Said::text(if old { 401 } else { 200 }, "text/plain", "x")
    });
    assert_eq!(ask(&http("GET", "/files/a", "", b"")).status, 200);
    scene.mosip.now(|_| Said::text(401, "text/plain", "x"));
    let before = scene.mosip.times();
    let answer = ask(&http("POST", "/files/a", "", b"body"));
    assert_eq!((answer.status, answer.code().as_str()), (502, "LGN-004"));
    assert_eq!(scene.mosip.times(), before + 1);
}

#[test]
fn no_output_shows_the_secret_or_a_token() {
    let scene = Scene::misp("login-canaries");
    let said = format!("{SECRET} {SIGNATURE}");
    let mut answers = Vec::new();
    // authmanager says the secret back in every way, and gives tokens that are no good. Another secret is tried at once.
    let echo = |code: &str, status| {
        let body = json!({"errors": [{"errorCode": code, "message": said}], "response": said});
        move |_: &Asked| Said::json(status, &body).header("X-Said", SECRET)
    };
    scene.authmanager.now(echo(SECRET, 200));
    answers.push(scene.create("BRN1"));
    type Answers = Box<dyn Fn(&Asked) -> Said + Send + Sync>;
    let logins: [Answers; 4] = [
        Box::new(echo("500", 500)),
        Box::new(|_| Said::text(502, "text/html", SECRET)),
        Box::new(|_| logged_in(-5)),
        Box::new(|_| logged_in(600)),
    ];
    for (n, login) in logins.into_iter().enumerate() {
        scene.authmanager.now(login);
        scene
            .site
            .write("misp/secrets/authmanager", &format!("{SECRET}{n}"));
        assert_eq!(scene.site.misp().reload(), Reloaded::Published);
        answers.push(scene.create("BRN2"));
    }
    let codes: Vec<String> = answers.iter().map(Answer::code).collect();
    assert_eq!(codes, ["LGN-001", "LGN-001", "LGN-002", "LGN-003", "-"]);
    for status in [200, 401, 403, 500] {
        scene.mosip.now(echo(SIGNATURE, status));
        answers.push(scene.create("BRN3"));
    }
    let gateway = scene.site.misp();
    gateway.line(answers.last().unwrap().correlation_id());
    let mut outputs = vec![
        gateway.process().err(),
        gateway.process().out(),
        gateway.metrics(),
    ];
    outputs.push(scene.health());
    outputs.push(scene.site.read("misp/access.log"));
    outputs.extend(
        answers
            .iter()
            .map(|a| format!("{:?} {}", a.headers, a.text())),
    );
    for output in outputs {
        for canary in [SECRET, SIGNATURE] {
            assert!(!output.contains(canary), "{output}");
        }
    }
}

#[test]
fn mistakes_in_logins_and_packet_routes_are_named() {
    let scene = Scene::new("login-config");
    let check = |from: &str, to: &str| {
        scene.site.replace("misp/gateway.toml", from, to);
        let config = scene.site.path("misp/gateway.toml").display().to_string();
        let said = triseal(["check", "--config", &config]);
        scene.site.replace("misp/gateway.toml", to, from);
        assert_eq!(said.code, 2, "{}", said.all());
        said.all()
    };
    let said = check("login = \"registration\"", "login = \"registratoin\"");
    assert!(
        said.contains("there is no login `registratoin`") && said.contains("registration"),
        "{said}"
    );
    let said = check("upstream = \"authmanager\"", "upstream = \"authmanger\"");
    assert!(said.contains("there is no upstream `authmanger`"), "{said}");
    let said = check("answer_timeout_ms = 3000", "login = \"registration\"");
    assert!(said.contains("authmanager itself names a login"), "{said}");
    let said = check(
        "file = \"secrets/authmanager\"",
        "file = \"secrets/nothing\"",
    );
    assert!(said.contains("login[0].secret"), "{said}");
    let said = check(
        "processes = [\"CRVS_NEW\", \"CRVS_DEATH\"]",
        "processes = []",
    );
    assert!(
        said.contains("nothing is allowed where nothing is listed"),
        "{said}"
    );
    let said = check("packetmanager/createPacket", "packetmanager/createPackets");
    assert!(said.contains("names no packet operation"), "{said}");
}

#[test]
fn the_sandboxs_registration_side_is_judged_through_two_sealed_gateways() {
    let world = World::start("packet-sandbox");
    // The other services of the embedded MOSIP stand four ports behind its IDA.
    let port = world.ida_port() + 4;
    let scene: Value =
        serde_json::from_str(&std::fs::read_to_string(world.dir().join("scene.json")).unwrap())
            .unwrap();
    let client = "mosip-regproc-client";
    let secret = scene["clients"][client].as_str().unwrap();
    let mut site = Site::before(&world, "packet-sealed");
    configure(&site, [port, port], [client, secret], "jose");
    site.start_misp();
    site.start_crvs();
    let face = site.service_face();
    let ask = |method: &str, path: &str, body: &Value| {
        let mut stream = TcpStream::connect(("127.0.0.1", face)).unwrap();
        let limit = Some(Duration::from_secs(15));
        stream.set_read_timeout(limit).unwrap();
        let body = body.to_string();
        let bytes = http(method, path, "", body.as_bytes());
        stream.write_all(&bytes).unwrap();
        Answer::read(&mut stream).expect("an answer")
    };
    let packet = |id: &str| {
        let fields = json!({"fullName": "[{\"language\":\"eng\",\"value\":\"Amina\"}]",
            "dateOfBirth": "2026/01/01", "gender": "[{\"language\":\"eng\",\"value\":\"Female\"}]"});
        let names: serde_json::Map<String, Value> = (fields.as_object().unwrap().keys())
            .map(|name| (name.clone(), json!({"fieldCategory": "pvt"})))
            .collect();
        let schema = json!({"properties": {"identity": {"properties": names}}});
        let mut body = packet(id);
        body["request"]["refId"] = "10001_10004".into();
        body["request"]["schemaJson"] = schema.to_string().into();
        body["request"]["fields"] = fields;
        body
    };
    let create = |id: &str| ask("PUT", CREATE, &packet(id));
    let start = |id: &str| ask("POST", WORKFLOW, &workflow(id));
    let fault = |kind: &str| {
        let order = json!({"kind": kind, "times": 1}).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let bytes = http("POST", "/sandbox/fault", "", order.as_bytes());
        stream.write_all(&bytes).unwrap();
        let answer = Answer::read(&mut stream).unwrap();
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
    };
    let answer = create("10001000000001");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["response"][0]["id"], "10001000000001");
    let answer = start("10001000000001");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["response"]["workflowInstanceId"].is_string());
    let again = start("10001000000001");
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json()["metadata"]["note"], "RPR-WIS-001");
    // What the sandbox does wrong, as MOSIP does it.
    for (kind, code) in [
        ("packet-hidden", "PKT-003"),
        ("packet-error", "UP-006"),
        ("packet-cut", "UP-003"),
    ] {
        fault(kind);
        let answer = create("10001000000002");
        assert_refused(&answer, 502, code);
    }
    assert_eq!(create("10001000000002").status, 200);
    for (kind, code) in [
        ("workflow-text", "PKT-004"),
        ("workflow-unknown", "PKT-002"),
        ("workflow-error", "UP-006"),
        // Started, but the answer is lost: the next try hears that it is there.
        ("workflow-cut", "UP-003"),
    ] {
        fault(kind);
        let answer = start("10001000000002");
        assert_refused(&answer, 502, code);
    }
    let again = start("10001000000002");
    assert_eq!(
        again.json()["metadata"]["note"],
        "RPR-WIS-001",
        "{}",
        again.text()
    );
    // Another secret, and the right one again.
    site.write("misp/secrets/authmanager", "wrong");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert_refused(&create("10001000000003"), 502, "LGN-001");
    assert!(site.misp().healthz().text().contains("login registration"));
    site.write("misp/secrets/authmanager", secret);
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert_eq!(create("10001000000003").status, 200);
}
