//! The token seeder behind two gateways: what OpenG2P's connector sends, to the sandbox's token seeder and back into Odoo.

use std::{io::Write, net::TcpStream, time::Duration};

use serde_json::{Value, json};
use triseal::sandbox::people;

use crate::{
    harness::{Answer, Site, World, free_ports, get, triseal, until, within},
    scripted::{Said, Scripted},
};

const FORMAT: &str =
    r#"[{updateId: .input.id, ids: [{id_type: "MOSIP UIN TOKEN", value: .output.token}]}]"#;

/// Both gateways, with the token seeder behind the MISP's and an Odoo behind the partner's.
struct Scene {
    site: Site,
    /// What the connector is told.
    odoo: Value,
    odoo_port: u16,
    /// The segment of this test in Odoo's paths.
    name: &'static str,
    /// The partner's partner face.
    callbacks: u16,
}

impl Scene {
    fn new(name: &'static str) -> Self {
        let scene: Value = serde_json::from_str(
            &std::fs::read_to_string(World::shared().dir().join("scene.json")).unwrap(),
        )
        .unwrap();
        let mts = scene["mts"].as_str().unwrap().to_owned();
        Self::before(name, &mts, scene["odoo"].clone())
    }

    fn before(name: &'static str, mts: &str, odoo: Value) -> Self {
        let site = Site::new(name);
        let ports = free_ports(2);
        let (callbacks, inward) = (ports, ports + 1);
        for party in ["misp", "crvs"] {
            site.write(
                &format!("{party}/secrets/store-key"),
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            );
            private(&site, &format!("{party}/secrets/store-key"));
        }
        site.append("misp/gateway.toml", &misp(mts, inward, callbacks));
        site.append(
            "misp/gateway.toml",
            &routes("partner", "jose", "mts", "insecure_plain"),
        );
        site.write("misp/partners/mts.toml", MTS);
        let address = odoo["address"].as_str().unwrap().to_owned();
        site.append("crvs/gateway.toml", &crvs(&address, callbacks));
        site.append(
            "crvs/gateway.toml",
            &routes("service", "insecure_plain", "misp", "jose"),
        );
        site.write("crvs/partners/misp.toml", MISP);
        for file in ["misp/partners/crvs.toml", "crvs/partners/sdk.toml"] {
            site.edit(file, |text| {
                text.replacen(
                    "routes = [",
                    "routes = [\"mts-json\", \"mts-csv\", \"mts-odk\", \"mts-status\", \"mts-file\", \"mts-fields\", \"mts-ping\", ",
                    1,
                )
            });
        }
        let odoo_port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self {
            site,
            odoo,
            odoo_port,
            name,
            callbacks,
        }
    }

    fn sandbox_odoo() -> Value {
        let text = std::fs::read_to_string(World::shared().dir().join("scene.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["odoo"].clone()
    }

    /// `triseal deliveries` at the partner's gateway.
    #[track_caller]
    fn deliveries(&self, args: &[&str]) -> String {
        let config = self.site.path("crvs/gateway.toml").display().to_string();
        let output = triseal([&["deliveries", "--config", &config], args].concat());
        assert_eq!(output.code, 0, "{}", output.all());
        output.out
    }

    fn running(name: &'static str) -> Self {
        let mut this = Self::new(name);
        this.start();
        this
    }

    fn start(&mut self) {
        self.site.start_misp();
        self.site.start_crvs();
    }

    fn send(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.site.service_face())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut out = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend(body);
        stream.write_all(&out).unwrap();
        Answer::read(&mut stream).expect("an answer")
    }

    fn ask(&self, request: &Value) -> Answer {
        let body = json!({"id": "string", "version": "string", "metadata": "string",
            "requesttime": "2026-11-22T19:00:00.000Z", "request": request});
        self.send(
            "POST",
            "/authtoken/json",
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    fn status(&self, id: &str) -> Value {
        self.send("GET", &format!("/authtoken/status/{id}"), "text/plain", b"")
            .json()["response"]["status"]
            .clone()
    }

    fn path(&self) -> String {
        format!("/api/{}/update_individual", self.name)
    }

    /// What OpenG2P's connector sends (reference 6.4).
    #[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
    fn connector(&self, data: Value) -> Value {
        let address = self.odoo["address"].as_str().unwrap();
        json!({
            "output": "json", "deliverytype": "callback", "lang": "eng",
            "mapping": {
                "vid": "vid", "name": ["given_name", "family_name"], "gender": "gender",
                "dob": "birthdate", "phoneNumber": "phone", "emailId": "email", "fullAddress": ["address"],
            },
            "outputFormat": FORMAT,
            "authdata": data,
            "callbackProperties": {
                "url": format!("{address}{}", self.path()), "httpMethod": "PUT",
                "timeoutSeconds": 10, "callInBulk": false, "authType": "odoo",
                "authOdoo": {
                    "database": self.odoo["database"], "authUrl": format!("{address}/web/session/authenticate"),
                    "username": self.odoo["login"], "password": self.odoo["password"],
                },
            },
        })
    }

    /// What came to Odoo on this test's path.
    fn received(&self) -> Vec<Value> {
        let all = get(self.odoo_port, "/sandbox/received").unwrap().json();
        let mine = |one: &&Value| one["path"] == self.path();
        all.as_array()
            .unwrap()
            .iter()
            .filter(mine)
            .cloned()
            .collect()
    }

    #[track_caller]
    fn delivered(&self, count: usize) -> Vec<Value> {
        until("Odoo has got the callbacks", || {
            let written: Vec<Value> = self
                .received()
                .into_iter()
                .filter(|one| one["status"] == 200)
                .collect();
            (written.len() >= count).then_some(written)
        })
    }

    /// What a connector's request with a change is answered: status, our code, the token seeder's.
    fn refused(&self, change: impl FnOnce(&mut Value)) -> (u16, String, String) {
        let mut request = self.connector(json!([record(0)]));
        change(&mut request);
        let answer = self.ask(&request);
        let code = answer.mosip_codes().pop().unwrap_or_default();
        (answer.status, answer.code(), code)
    }
}

fn private(site: &Site, file: &str) {
    let status = std::process::Command::new("chmod")
        .arg("600")
        .arg(site.path(file))
        .status();
    assert!(status.unwrap().success());
}

/// The routes of the token seeder's own API.
fn routes(face: &str, from: &str, upstream: &str, to: &str) -> String {
    [
        ("mts-json", "/authtoken/json", "POST"),
        ("mts-csv", "/authtoken/csv", "POST"),
        ("mts-odk", "/authtoken/odk", "POST"),
        ("mts-status", "/authtoken/status/{id}", "GET"),
        ("mts-file", "/authtoken/file/{id}", "GET"),
        ("mts-fields", "/authtoken/authfields", "GET"),
        ("mts-ping", "/ping", "GET"),
    ]
    .iter()
    .map(|(name, path, method)| {
        format!(
            "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nmethods = [\"{method}\"]\nhandler = \"token_seeder\"\nfrom = {{ face = \"{face}\", envelope = \"{from}\" }}\nto = {{ upstream = \"{upstream}\", envelope = \"{to}\" }}\n"
        )
    })
    .collect()
}

fn misp(mts: &str, inward: u16, callbacks: u16) -> String {
    format!(
        r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[[face]]
name = "services"
kind = "service"
listen = "127.0.0.1:{inward}"

[[upstream]]
name = "mts"
addresses = ["{mts}"]

[[peer]]
id = "crvs"
organisation = "Civil Registry"
anchors = {{ encryption = ["partner"], signature = ["partner"] }}
certificate = [
    {{ role = "encryption", file = "../pki/parties/crvs/encryption.pem" }},
    {{ role = "signature", file = "../pki/parties/crvs/signature.pem" }},
]

[[upstream]]
name = "crvs"
addresses = ["https://localhost:{callbacks}"]
party = "crvs"
anchors = ["tls"]
answer_timeout_ms = 4000

[token_seeder]
callback_base = "http://127.0.0.1:{inward}/token-seeder/callback"
programs = ['{FORMAT}']

[[token_seeder.target]]
name = "crvs"
callers = ["crvs"]
address = "https://localhost:{callbacks}"
paths = ["/token-seeder/callback/{{callback}}"]
methods = ["POST"]
upstream = "crvs"
envelope = "jose"

[[route]]
name = "mts-callback"
path = "/token-seeder/callback/{{callback}}"
methods = ["POST"]
handler = "token_seeder"
from = {{ face = "service", envelope = "insecure_plain" }}
"#
    )
}

fn crvs(odoo: &str, callbacks: u16) -> String {
    format!(
        r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[[face]]
name = "partners"
kind = "partner"
listen = "127.0.0.1:{callbacks}"
hosts = ["localhost"]
anchors = ["tls"]

[[upstream]]
name = "odoo"
addresses = ["{odoo}"]
answer_timeout_ms = 2000

[token_seeder]
callback_base = "https://localhost:{callbacks}/token-seeder/callback"
programs = ['{FORMAT}']
attempts = 4

[[token_seeder.target]]
name = "odoo"
callers = ["sdk"]
address = "{odoo}"
paths = ["/api/{{registry}}/update_individual"]
methods = ["PUT"]
upstream = "odoo"
envelope = "insecure_plain"
login = "odoo"
login_path = "/web/session/authenticate"

[[route]]
name = "mts-callback"
path = "/token-seeder/callback/{{callback}}/{{delivery}}"
methods = ["POST"]
handler = "token_seeder"
from = {{ face = "partner", envelope = "jose" }}
"#
    )
}

const MTS: &str = r#"id = "mts"
organisation = "MOSIP"
kind = "service"
routes = ["mts-callback"]

[access]
networks = ["127.0.0.0/8"]
"#;

const MISP: &str = r#"id = "misp"
organisation = "MISP One"
routes = ["mts-callback"]
anchors = { tls = ["tls"], encryption = ["partner"], signature = ["partner"] }
certificate = [
    { role = "tls", file = "../../pki/parties/misp/tls.pem" },
    { role = "encryption", file = "../../pki/parties/misp/encryption.pem" },
    { role = "signature", file = "../../pki/parties/misp/signature.pem" },
]
"#;

/// A person as a registry knows them.
fn record(number: usize) -> Value {
    let person = &people::all()[number];
    let english = |texts: &[people::Text]| people::in_language(texts, "eng").unwrap().to_owned();
    let name = english(&person.name);
    let (given, family) = name.split_once(' ').unwrap();
    let lines = person.address_lines.iter().chain(&person.locations);
    let address: Vec<String> = lines.map(|texts| english(texts)).collect();
    json!({
        "id": 100 + number, "vid": person.vid, "given_name": given, "family_name": family,
        "birthdate": person.date_of_birth, "gender": english(&person.gender),
        "address": format!("{} {}", address.join(" "), person.postal_code),
        "email": "", "phone": "",
    })
}

fn identifier(answer: &Answer) -> String {
    answer.json()["response"]["request_identifier"]
        .as_str()
        .unwrap_or_else(|| panic!("{} {}", answer.status, answer.text()))
        .to_owned()
}

#[test]
fn what_the_connector_sends_comes_back_into_odoo_exactly_once() {
    let scene = Scene::running("seeder-chain");
    let answer = scene.ask(&scene.connector(json!([record(0), record(1)])));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = identifier(&answer);
    let came = scene.delivered(2);
    assert_eq!(came.len(), 2, "{came:?}");
    for (one, number) in came.iter().zip([100, 101]) {
        assert_eq!(one["authorization"], "session");
        assert!(
            came.iter().any(|c| c["body"][0]["updateId"] == number),
            "{one}"
        );
        let token = one["body"][0]["ids"][0]["value"].as_str().unwrap();
        assert_eq!(token.len(), 36);
    }
    assert_eq!(scene.status(&id), "processed");
    // Nothing follows.
    let more = within(Duration::from_secs(2), || {
        (scene.received().len() > 2).then_some(())
    });
    assert!(more.is_none(), "{:?}", scene.received());
}

#[test]
fn odoos_credentials_never_leave_the_partners_gateway_and_are_not_readable_there() {
    let scripted = Scripted::start(|asked| match asked.path.as_str() {
        "/authtoken/json" => Said::json(
            200,
            &json!({"errors": null, "response": {"request_identifier": "11111111-2222"}}),
        ),
        _ => Said::json(200, &json!({"response": {"status": "processed"}})),
    });
    let address = format!("http://127.0.0.1:{}", scripted.port);
    let mut scene = Scene::before("seeder-secrets", &address, Scene::sandbox_odoo());
    scene.start();
    let request = scene.connector(json!([record(0)]));
    assert_eq!(scene.ask(&request).status, 200);
    let password = scene.odoo["password"].as_str().unwrap();
    let asked = scripted.asked().pop().unwrap();
    let text = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(!text.contains(password) && !text.contains("authOdoo"));
    let sent = asked.json();
    // Everything else is as it was.
    let mut expected = request.clone();
    expected
        .as_object_mut()
        .unwrap()
        .remove("callbackProperties");
    let mut rest = sent["request"].clone();
    let ours = rest.as_object_mut().unwrap().remove("callbackProperties");
    assert_eq!(rest, expected);
    let ours = ours.unwrap();
    assert_eq!(
        (&ours["authType"], &ours["httpMethod"]),
        (&json!("none"), &json!("POST"))
    );
    assert_eq!(
        (&ours["timeoutSeconds"], &ours["callInBulk"]),
        (&json!(10), &json!(false))
    );

    for gateway in ["misp", "crvs"] {
        for name in ["store.db", "store.db-wal"] {
            let file = scene.site.path(&format!("{gateway}/state/{name}"));
            let bytes = std::fs::read(file).unwrap_or_default();
            let found = bytes
                .windows(password.len())
                .any(|window| window == password.as_bytes());
            assert!(!found, "{gateway}/{name}");
        }
        let log = scene.site.read(&format!("{gateway}/access.log"));
        assert!(!log.contains(password));
    }
}

#[test]
fn no_address_but_the_declared_one_is_called() {
    let scene = Scene::running("seeder-ssrf");
    let address = scene.odoo["address"].as_str().unwrap().to_owned();
    let path = scene.path();
    let port = scene.odoo_port;
    let forbidden = (403, "SEED-003".to_owned(), "ATS-REQ-102".to_owned());
    for url in [
        format!("https://127.0.0.1:{port}{path}"),
        format!("http://localhost:{port}{path}"),
        format!("http://127.0.0.1:{}{path}", port.wrapping_add(1)),
        format!("http://2130706433:{port}{path}"),
        format!("http://0177.0.0.1:{port}{path}"),
        format!("http://[::1]:{port}{path}"),
        format!("http://user:secret@127.0.0.1:{port}{path}"),
        format!("http://127.0.0.1:{port}@evil.example{path}"),
        format!("http://127。0。0。1:{port}{path}"),
        format!("{address}/api/../web/session/logout"),
        format!("{address}{path}?next=http://evil.example"),
        format!("{address}/sandbox/fault"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        let refused = scene.refused(|r| r["callbackProperties"]["url"] = json!(url));
        assert_eq!(refused, forbidden, "{url}");
    }
    for (member, value) in [
        ("httpMethod", json!("POST")),
        ("httpMethod", json!("put")),
        ("authType", json!("none")),
        ("extraHeaders", json!({"Host": "evil.example"})),
    ] {
        let refused = scene.refused(|r| r["callbackProperties"][member] = value.clone());
        assert_eq!(refused, forbidden, "{member}");
    }
    let refused = scene.refused(|r| {
        r["callbackProperties"]["authOdoo"]["authUrl"] = json!("http://evil.example/login");
    });
    assert_eq!(refused, forbidden);
    let refused = scene.refused(|r| {
        r["odkconfig"] = json!({"baseurl": "http://169.254.169.254/"});
    });
    assert_eq!(refused, forbidden);
    assert!(scene.received().is_empty());
}

#[test]
fn no_program_but_those_on_the_list_is_run() {
    let scene = Scene::running("seeder-jq");
    let forbidden = (403, "SEED-002".to_owned(), "ATS-REQ-103".to_owned());
    for program in [
        "env",
        ".input",
        "[limit(1e9;repeat(1))]",
        &format!("{FORMAT} "),
    ] {
        let refused = scene.refused(|r| r["outputFormat"] = json!(program));
        assert_eq!(refused, forbidden, "{program}");
    }
    for mapping in ["vid|env", "a.b[0]", "", "$__loc__", "é"] {
        let refused = scene.refused(|r| r["mapping"]["vid"] = json!(mapping));
        assert_eq!(refused, forbidden, "{mapping}");
        let refused = scene.refused(|r| r["mapping"]["name"] = json!(["given_name", mapping]));
        assert_eq!(refused, forbidden, "{mapping}");
    }
}

#[test]
fn what_is_not_of_the_form_is_refused_before_anything_is_stored() {
    let scene = Scene::running("seeder-form");
    let form = (400, "SEED-001".to_owned(), "ATS-REQ-102".to_owned());
    for change in [
        (|r: &mut Value| r["deliverytype"] = json!("carrier pigeon")) as fn(&mut Value),
        |r| r["callbackProperties"] = Value::Null,
        |r| r["callbackProperties"]["surprise"] = json!(1),
        |r| r["callbackProperties"]["authOdoo"]["surprise"] = json!(1),
        |r| r["callbackProperties"]["authType"] = json!("kerberos"),
        |r| r["callbackProperties"]["authOdoo"] = Value::Null,
        |r| r["mapping"] = json!([]),
        |r| r["outputFormat"] = json!({}),
        |r| r["deliverytype"] = json!("download"),
    ] {
        assert_eq!(scene.refused(change), form);
    }
    for body in [
        &b"{}"[..],
        b"[]",
        b"{\"request\":{},\"request\":{}}",
        b"\xff",
    ] {
        let answer = scene.send("POST", "/authtoken/json", "application/json", body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "SEED-001"));
    }
    let answer = scene.send("GET", "/authtoken/status/nobody-s", "text/plain", b"");
    assert_eq!((answer.status, answer.code().as_str()), (404, "SEED-004"));
    assert_eq!(answer.mosip_codes(), ["ATS-REQ-016"]);
}

#[test]
fn a_download_and_a_file_pass_byte_for_byte() {
    let scene = Scene::running("seeder-files");
    let mut request = scene.connector(json!([record(2)]));
    request["deliverytype"] = json!("download");
    request
        .as_object_mut()
        .unwrap()
        .remove("callbackProperties");
    let id = identifier(&scene.ask(&request));
    until("the file is there", || {
        (scene.status(&id) == "processed").then_some(())
    });
    let path = format!("/authtoken/file/{id}");
    let file = scene.send("GET", &path, "text/plain", b"");
    assert_eq!(file.status, 200);
    assert_eq!(file.json()[0][0]["updateId"], 102);

    let record = record(3);
    let fields = record.as_object().unwrap();
    let cells = |values: Vec<String>| values.join(",");
    let csv = format!(
        "{}\n{}\n",
        cells(fields.keys().cloned().collect()),
        cells(
            fields
                .values()
                .map(|value| match value {
                    Value::String(text) => format!("\"{text}\""),
                    other => other.to_string(),
                })
                .collect()
        )
    );
    request.as_object_mut().unwrap().remove("authdata");
    request["output"] = json!("csv");
    request["outputFormat"] = json!(".output");
    let envelope = json!({"id": "string", "version": "string", "metadata": "string",
        "requesttime": "2026-11-22T19:00:00.000Z", "request": request});
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{envelope}\r\n--b\r\nContent-Disposition: form-data; name=\"csv_file\"; filename=\"x.csv\"\r\nContent-Type: text/csv\r\n\r\n{csv}\r\n--b--\r\n"
    );
    let media = "multipart/form-data; boundary=b";
    let id = identifier(&scene.send("POST", "/authtoken/csv", media, body.as_bytes()));
    until("the file is there", || {
        (scene.status(&id) == "processed").then_some(())
    });
    let file = scene.send("GET", &format!("/authtoken/file/{id}"), "text/plain", b"");
    assert_eq!(file.header("content-type"), Some("text/csv"));
    assert!(file.text().contains(",processed,"), "{}", file.text());

    let ping = scene.send("GET", "/ping", "text/plain", b"");
    assert_eq!((ping.status, ping.text().as_str()), (200, "\"pong\""));
}

/// A token seeder that takes requests on and calls nobody back: the test does.
fn quiet_seeder() -> Scripted {
    Scripted::start(|_| {
        Said::json(
            200,
            &json!({"errors": null, "response": {"request_identifier": "11111111-2222"}}),
        )
    })
}

/// The address at the MISP's gateway that the token seeder was told to call back.
fn told(seeder: &Scripted) -> String {
    let asked = seeder.asked().pop().unwrap();
    asked.json()["request"]["callbackProperties"]["url"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Calls back as the token seeder does.
fn call_back(url: &str, body: &Value) -> Answer {
    let (authority, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    Answer::read(&mut stream).unwrap()
}

fn token(number: u32) -> Value {
    json!([{"updateId": number, "ids": [{"id_type": "MOSIP UIN TOKEN", "value": "123"}]}])
}

#[test]
fn a_callback_survives_the_death_of_either_gateway_and_arrives_once() {
    let seeder = quiet_seeder();
    let address = format!("http://127.0.0.1:{}", seeder.port);
    let mut scene = Scene::before("seeder-deaths", &address, Scene::sandbox_odoo());
    scene.start();
    assert_eq!(scene.ask(&scene.connector(json!([record(0)]))).status, 200);
    let url = told(&seeder);
    // Taken while the partner's gateway is dead, and the MISP's dies before it could deliver.
    scene.site.kill_crvs();
    assert_eq!(call_back(&url, &token(100)).status, 200);
    scene.site.kill_misp();
    assert!(scene.received().is_empty());
    scene.start();
    let came = scene.delivered(1);
    assert_eq!(came[0]["body"], token(100));
    let more = within(Duration::from_secs(3), || {
        (scene.received().len() > 1).then_some(())
    });
    assert!(more.is_none(), "{:?}", scene.received());
}

/// An Odoo whose logins succeed and which answers a callback as `answer` says, by the number in it.
fn odoo_that(answer: impl Fn(u64, usize) -> Said + Send + Sync + 'static) -> Scripted {
    let counts = std::sync::Mutex::new(std::collections::HashMap::<u64, usize>::new());
    Scripted::start(move |asked| {
        if asked.path.ends_with("/authenticate") {
            return Said::json(200, &json!({"jsonrpc": "2.0", "result": {"uid": 7}}))
                .header("Set-Cookie", "session_id=abc; HttpOnly");
        }
        let Some(number) = asked.json()[0]["updateId"].as_u64() else {
            return Said::json(200, &json!({}));
        };
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(number).or_default();
        *count += 1;
        answer(number, *count)
    })
}

#[test]
fn what_odoo_does_not_take_is_tried_again_or_parked_with_its_reason_and_can_be_taken_up() {
    let odoo = odoo_that(|number, count| match (number, count) {
        (100, 1..=2) | (101, 1..=3) => Said::json(500, &json!({})),
        (102, 1) => Said::json(200, &json!({"jsonrpc": "2.0", "error": {"code": 200}})),
        (103, 1) => {
            Said::json(307, &json!({})).header("Location", "http://169.254.169.254/latest/")
        }
        (104, _) => Said::json(422, &json!({})),
        _ => Said::json(200, &json!([number])),
    });
    let seeder = quiet_seeder();
    let connector = json!({
        "address": format!("http://127.0.0.1:{}", odoo.port),
        "database": "registry", "login": "x", "password": "y",
    });
    let address = format!("http://127.0.0.1:{}", seeder.port);
    let mut scene = Scene::before("seeder-retry", &address, connector);
    scene
        .site
        .replace("crvs/gateway.toml", "attempts = 4", "attempts = 3");
    scene.start();
    assert_eq!(scene.ask(&scene.connector(json!([record(0)]))).status, 200);
    let url = told(&seeder);
    for number in 100..=104 {
        assert_eq!(call_back(&url, &token(number)).status, 200);
    }
    let tried = |number: u64| {
        let asked = odoo.asked();
        let mine = |a: &&crate::scripted::Asked| a.json()[0]["updateId"] == number;
        asked.iter().filter(mine).count()
    };
    let parked = until("what cannot be delivered is parked", || {
        let list = scene.deliveries(&["list", "--kind", "token-seeder", "--standing", "parked"]);
        (list.lines().count() == 3).then_some(list)
    });
    until("what can be delivered is", || {
        (tried(100) == 3 && tried(102) == 2).then_some(())
    });
    assert_eq!((tried(101), tried(103), tried(104)), (3, 1, 1));
    for reason in [
        "odoo answered 500; given up after 3 attempts",
        "odoo answered 307: redirects are not followed",
        "odoo answered 422",
    ] {
        assert!(parked.contains(reason), "{parked}");
    }
    // By hand, once Odoo is well again: only that one is tried.
    let line = parked.lines().find(|line| line.contains("500")).unwrap();
    let id = line.split('\t').next().unwrap();
    scene.deliveries(&["retry", id]);
    until("it is there", || (tried(101) == 4).then_some(()));
    assert_eq!((tried(103), tried(104)), (1, 1));
}

#[test]
fn an_odoo_that_refuses_the_login_is_not_asked_again_and_again() {
    let seeder = quiet_seeder();
    let address = format!("http://127.0.0.1:{}", seeder.port);
    let mut scene = Scene::before("seeder-login", &address, Scene::sandbox_odoo());
    scene.start();
    let mut request = scene.connector(json!([record(0)]));
    request["callbackProperties"]["authOdoo"]["password"] = json!("not this one");
    assert_eq!(scene.ask(&request).status, 200);
    assert_eq!(call_back(&told(&seeder), &token(100)).status, 200);
    let parked = until("it is parked", || {
        let list = scene.deliveries(&["list", "--kind", "token-seeder", "--standing", "parked"]);
        (!list.is_empty()).then_some(list)
    });
    assert!(parked.contains("odoo refuses the login"), "{parked}");
    assert!(scene.received().is_empty());
}

#[test]
fn a_callback_is_taken_from_who_was_asked_and_only_while_it_is_waited_for() {
    let scene = Scene::running("seeder-callbacks");
    let inward: u16 = scene
        .site
        .read("misp/gateway.toml")
        .split("callback_base = \"http://127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap()
        .parse()
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", inward)).unwrap();
    write!(
        stream,
        "POST /token-seeder/callback/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    .unwrap();
    let answer = Answer::read(&mut stream).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (404, "SEED-004"));
    // Without TLS, or as somebody who is not the MISP, nobody comes to the partner's door at all.
    let client = scene.site.client();
    assert!(
        client.connect(scene.callbacks).is_err()
            || {
                let mut client = scene.site.client().connect(scene.callbacks).unwrap();
                let answer = client.ask(b"POST /token-seeder/callback/a/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
                answer.status == 403
            }
    );
}
