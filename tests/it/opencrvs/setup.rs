//! OpenCRVS on one side of two gateways, MOSIP on the other, both scripted: every call is remembered, and each can be
//! answered in every way that it should not.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::{
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    sign::Signer,
};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Output, Site, der, now, run, until},
    scripted::{Asked, Said, Scripted},
    websub::{
        hub::{deliver, signature},
        issuer::{HOST, ISSUER, Issuer, METHOD, TOPIC, event, sealed},
    },
};

pub const CREATE: &str = "/commons/v1/packetmanager/createPacket";
pub const WORKFLOW: &str = "/registrationprocessor/v1/workflowmanager/workflowinstance";
pub const CONFIRM: &str = "/events/event.actions.register.accept?batch=1";
pub const REGISTER: &str = "/events/registration";
const HUB_SECRET: &str = "the hub's secret of crvs";
const CALLBACK: &str = "/websub/callback";
const STORE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// OpenCRVS' auth service: makes tokens.
pub struct Auth {
    pub key: PKey<Private>,
}

impl Auth {
    pub fn new() -> Self {
        Self {
            key: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        String::from_utf8(self.key.public_key_to_pem().unwrap()).unwrap()
    }

    /// A good token of a record, with some claims put in place of the usual ones.
    pub fn token(&self, event: &str, action: &str, other: Value) -> String {
        self.signed(
            &json!({"alg": "RS256", "typ": "JWT"}),
            &claims(event, action, other),
        )
    }

    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The claims of a good token, with others in their place; null takes one away.
#[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
pub fn claims(event: &str, action: &str, other: Value) -> Value {
    let now = now().s();
    let mut claims = json!({
        "iss": "opencrvs:auth-service", "aud": ["opencrvs:gateway-user", "opencrvs:events-user"],
        "scope": ["record.confirm-registration", "record.reject-registration"], "sub": "u", "userType": "system",
        "iat": now, "exp": now + 604_800, "eventId": event, "actionId": action,
    });
    for (name, value) in other.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// What happens at MOSIP and at core, as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "each is a question that was asked"
)]
pub enum Point {
    PacketAsked,
    WorkflowAsked,
    ConfirmAsked,
}

type Watch = Arc<Mutex<Option<Box<dyn Fn(Point) + Send + Sync>>>>;

/// Two gateways between OpenCRVS and MOSIP.
pub struct Crvs {
    pub site: Site,
    pub auth: Auth,
    pub issuer: Issuer,
    pub core: Scripted,
    pub mosip: Scripted,
    pub hub: Scripted,
    /// Called in the midst of an answer.
    pub watch: Watch,
    workflows: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Crvs {
    /// Nothing is started. `more` goes into `[opencrvs]`.
    pub fn new(name: &str, more: &str) -> Self {
        Self::at(Site::new(name), more)
    }

    /// The same at gateways that have more in their configuration already.
    pub fn at(site: Site, more: &str) -> Self {
        let auth = Auth::new();
        let watch: Watch = Arc::default();
        let workflows: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let core = core(auth.pem(), &watch);
        let mosip = mosip(&watch, &workflows);
        let hub = Scripted::start(|_| Said::text(202, "text/plain", "hub.mode=accepted"));
        let this = Self {
            issuer: Issuer::new(),
            site,
            auth,
            core,
            mosip,
            hub,
            watch,
            workflows,
        };
        this.write_misp();
        this.write_crvs(more);
        this
    }

    pub fn started(name: &str, more: &str) -> Self {
        let mut this = Self::new(name, more);
        this.site.start_misp();
        this.start_crvs();
        this
    }

    /// Starts the partner's gateway, and waits until it knows the tokens' key.
    pub fn start_crvs(&mut self) {
        self.site.start_crvs();
        until("the key of the tokens is fetched", || {
            let answer = self.post(REGISTER, Some("no token"), b"{}")?;
            (answer.code() != "CRVS-009").then_some(())
        });
    }

    fn write_misp(&self) {
        let routes = [("create-packet", CREATE), ("workflow", WORKFLOW)].map(|(name, path)| {
            format!(
                "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"packet\"\nfrom = {{ face = \"partner\", envelope = \"jose\" }}\nto = {{ upstream = \"packets\", envelope = \"insecure_plain\" }}\npacket = {{ processes = [\"CRVS_NEW\", \"CRVS_DEATH\"], sources = [\"OPENCRVS\"] }}\n"
            )
        });
        self.site.append(
            "misp/gateway.toml",
            &format!(
                "[[upstream]]\nname = \"packets\"\naddresses = [\"http://127.0.0.1:{}\"]\n{}\n[limits]\nfreshness_forward_ms = 1000\n",
                self.mosip.port,
                routes.concat()
            ),
        );
        self.site.edit("misp/partners/crvs.toml", |text| {
            text.replacen(
                "routes = [",
                "routes = [\"create-packet\", \"workflow\", ",
                1,
            )
        });
    }

    fn write_crvs(&self, more: &str) {
        for (name, text) in [("store-key", STORE_KEY), ("hub", HUB_SECRET)] {
            let path = self.site.path(&format!("crvs/secrets/{name}"));
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        self.site.write("crvs/issuer.pem", &self.issuer.pem);
        self.site.edit("crvs/partners/sdk.toml", |text| {
            let routes = "routes = [\"registration\", \"verify\", \"callback\", ";
            text.replacen("routes = [", routes, 1)
        });
        let route = |name: &str, path: &str, handler: &str| {
            format!(
                "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"{handler}\"\nfrom = {{ face = \"service\", envelope = \"insecure_plain\" }}\n"
            )
        };
        let upstream = |name: &str, port: u16| {
            format!(
                "\n[[upstream]]\nname = \"{name}\"\naddresses = [\"http://127.0.0.1:{port}\"]\n"
            )
        };
        let text = [
            upstream("core", self.core.port),
            upstream("hub", self.hub.port),
            route("registration", REGISTER, "opencrvs"),
            route("verify", "/verify", "opencrvs"),
            route("callback", CALLBACK, "websub"),
            format!(
                r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[opencrvs]
upstream = "misp"
core = "core"
{more}
[opencrvs.token]
upstream = "core"

[opencrvs.verify]
scopes = ["record.read"]
misp_lk = {{ file = "secrets/misp-licence" }}
api_key = {{ file = "secrets/api-key" }}

[websub]
upstream = "hub"
envelope = "insecure_plain"

[[websub.context]]
url = "https://{HOST}/.well-known/mosip-context.json"

[[websub.issuer]]
issuer = "{ISSUER}"
verification_method = "{METHOD}"
key = "issuer.pem"
contexts = ["https://{HOST}/.well-known/mosip-context.json"]

[[websub.subscription]]
name = "credentials"
topic = "{TOPIC}"
callback = "https://crvs.example{CALLBACK}"
secret = {{ file = "secrets/hub" }}
credential = {{}}
hand_on = {{ opencrvs = true }}
"#
            ),
        ]
        .concat();
        self.site.append("crvs/gateway.toml", &text);
    }

    /// A POST to the partner's service face; `None` when nobody answers.
    pub fn post(&self, path: &str, token: Option<&str>, body: &[u8]) -> Option<Answer> {
        self.post_at(self.site.service_face(), path, token, body)
    }

    /// A POST to a service face on another port, with a token.
    pub fn post_at(
        &self,
        port: u16,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Option<Answer> {
        let more = token.map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        Self::ask_at(port, "POST", path, &more, body)
    }

    /// Any request to the partner's service face.
    pub fn ask(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Option<Answer> {
        Self::ask_at(self.site.service_face(), method, path, more, body)
    }

    fn ask_at(port: u16, method: &str, path: &str, more: &str, body: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        Answer::read(&mut stream)
    }

    /// Registers, and wants it stored.
    #[track_caller]
    pub fn register(&self, record: &Record) {
        let answer = self
            .post(REGISTER, Some(&record.token(self)), &record.body())
            .expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (202, "{}"));
    }

    /// The transaction id under which MOSIP has the packet of a number.
    pub fn transaction(&self, number: &str) -> Option<String> {
        let ids = self.transactions(number);
        assert!(
            ids.len() < 2,
            "several transactions for one number: {ids:?}"
        );
        ids.into_iter().next()
    }

    /// Every transaction id under which MOSIP saw a packet of a number.
    pub fn transactions(&self, number: &str) -> Vec<String> {
        let mut ids: Vec<String> = (self.mosip.asked().iter())
            .filter(|asked| asked.path == CREATE)
            .map(Asked::json)
            .filter(|body| {
                let request = &body["request"];
                request["fields"]["birthCertificateNumber"] == number
                    || request["audits"][0]["id"] == number
            })
            .map(|body| body["request"]["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Waits until MOSIP works on the packet of a number, and gives its transaction id.
    #[track_caller]
    pub fn at_mosip(&self, number: &str) -> String {
        let started = crate::harness::within(Duration::from_secs(60), || {
            let id = self.transaction(number)?;
            self.workflows
                .lock()
                .unwrap()
                .contains_key(&id)
                .then_some(id)
        });
        started.unwrap_or_else(|| panic!("no workflow for {number}"))
    }

    /// Delivers a credential as the hub does; says the status.
    pub fn deliver(&self, event_id: &str, transaction: &str, members: &Value) -> Option<u16> {
        self.deliver_at(self.site.service_face(), event_id, transaction, members)
    }

    /// The same, to a service face on another port.
    pub fn deliver_at(
        &self,
        port: u16,
        event_id: &str,
        transaction: &str,
        members: &Value,
    ) -> Option<u16> {
        let credential = self.issuer.credential_of(transaction, members);
        let certificate = der(&self.site.party("crvs").join("encryption.pem"));
        let body = event(
            event_id,
            event_id,
            transaction,
            &sealed(&credential, certificate),
        );
        let signature = signature(HUB_SECRET, &body);
        deliver(port, CALLBACK, Some(&signature), &body).map(|answer| answer.status)
    }

    /// The confirmations of an action that core was asked for, in order.
    pub fn confirmations(&self, action: &str) -> Vec<Asked> {
        (self.core.asked().into_iter())
            .filter(|asked| {
                asked.path == CONFIRM && asked.json()["0"]["json"]["actionId"] == action
            })
            .collect()
    }

    /// Waits for the nth confirmation of an action.
    #[track_caller]
    pub fn confirmation(&self, action: &str, n: usize) -> Asked {
        let came = crate::harness::within(Duration::from_secs(60), || {
            self.confirmations(action).get(n).cloned()
        });
        came.unwrap_or_else(|| {
            panic!(
                "no confirmation {n} of {action}: {}",
                self.site.crvs().process().err()
            )
        })
    }

    pub fn command(&self, args: &[&str]) -> Output {
        let config = self.site.path("crvs/gateway.toml").display().to_string();
        let mut all = vec!["transactions"];
        all.extend(args);
        all.extend(["--config", &config]);
        run(env!("CARGO_BIN_EXE_triseal"), all, &[], b"")
    }

    /// What `triseal transactions show` says of a registration.
    #[track_caller]
    pub fn show(&self, key: &str) -> Value {
        let output = self.command(&["show", key, "--json"]);
        assert_eq!(output.code, 0, "{}", output.all());
        serde_json::from_str(&output.out).unwrap()
    }

    /// Waits until a registration is in a standing, and says why it is.
    #[track_caller]
    pub fn standing(&self, key: &str, standing: &str) -> Value {
        crate::harness::within(Duration::from_secs(60), || {
            let shown = self.show(key);
            (shown["standing"] == standing).then_some(shown)
        })
        .unwrap_or_else(|| panic!("{key} is not {standing}: {}", self.show(key)))
    }
}

/// A record that is registered.
#[derive(Clone, Debug)]
pub struct Record {
    pub number: String,
    pub event: String,
    pub action: String,
    pub birth: bool,
}

impl Record {
    pub fn birth() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let n = NEXT.fetch_add(1, Ordering::SeqCst);
        Self {
            number: format!("B2026{n:05}"),
            event: format!("event-{n}"),
            action: format!("action-{n}"),
            birth: true,
        }
    }

    pub fn death() -> Self {
        let birth = Self::birth();
        Self {
            number: birth.number.replacen('B', "D", 1),
            birth: false,
            ..birth
        }
    }

    pub fn key(&self) -> String {
        let kind = if self.birth { "birth" } else { "death" };
        format!("{kind}:{}", self.number)
    }

    pub fn token(&self, crvs: &Crvs) -> String {
        crvs.auth.token(&self.event, &self.action, json!({}))
    }

    pub fn body(&self) -> Vec<u8> {
        self.json().to_string().into_bytes()
    }

    pub fn json(&self) -> Value {
        let spoken = |value: &str| json!([{"language": "eng", "value": value}]).to_string();
        let fields = if self.birth {
            json!({
                "birthCertificateNumber": self.number, "fullName": spoken("Nova \"Example\""), "gender": spoken("Female"),
                "dateOfBirth": "2026/11/01", "postalCode": "10001", "email": "", "phone": "", "preferredLang": "English",
            })
        } else {
            json!({
                "deathCertificateNumber": self.number, "UIN": "5860356276", "declaredAsDeceased": "Y",
                "deceasedDeclarationDate": "2026/11/20", "typeOfDeath": "NATURAL", "deceasedInformer": "",
            })
        };
        json!({
            "trackingId": "ABC123",
            "notification": {"recipientFullName": "Ada Example", "recipientEmail": "", "recipientPhone": ""},
            "requestFields": fields,
            "metaInfo": {
                "metaData": json!([{"label": "registrationType", "value": "CRVS_NEW"}]).to_string(),
                "registrationId": "\"\"", "operationsData": "[]", "capturedRegisteredDevices": "[]", "creationDate": "\"\"",
            },
            "audit": {"uuid": "1", "id": self.number, "eventId": "REG-EVT-001"},
        })
    }

    /// What the credential says of a birth.
    pub fn subject(&self, vid: &str) -> Value {
        json!({"VID": vid, "birthCertificateNumber": self.number})
    }
}

fn tell(watch: &Watch, point: Point) {
    if let Some(watcher) = &*watch.lock().unwrap() {
        watcher(point);
    }
}

/// Core: says its key, and takes confirmations.
fn core(pem: String, watch: &Watch) -> Scripted {
    let watch = Arc::clone(watch);
    Scripted::start(move |asked| {
        if asked.path == "/.well-known" {
            return Said::text(200, "text/plain", pem.clone());
        }
        tell(&watch, Point::ConfirmAsked);
        accepted()
    })
}

/// Core's yes.
pub fn accepted() -> Said {
    Said::json(
        200,
        &json!([{"result": {"data": {"json": {"id": "e", "type": "birth"}}}}]),
    )
}

/// Core's no.
pub fn refused(status: u16, code: &str, message: &str) -> Said {
    let data = json!({"code": code, "httpStatus": status, "path": "event.actions.register.accept"});
    Said::json(
        status,
        &json!([{"error": {"json": {"message": message, "code": -32603, "data": data}}}]),
    )
}

/// MOSIP: makes packets and starts workflows, each once.
fn mosip(watch: &Watch, workflows: &Arc<Mutex<BTreeMap<String, usize>>>) -> Scripted {
    let (watch, workflows) = (Arc::clone(watch), Arc::clone(workflows));
    Scripted::start(move |asked| {
        let request = asked.json();
        if asked.path == CREATE {
            tell(&watch, Point::PacketAsked);
            let id = &request["request"]["id"];
            let part =
                json!({"id": id, "packetName": "x_id", "process": request["request"]["process"]});
            return Said::json(
                200,
                &json!({"id": "mosip.registration.packet.writer", "version": "v1", "response": [part], "errors": []}),
            );
        }
        let id = request["request"]["registrationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let known = {
            let mut all = workflows.lock().unwrap();
            let times = all.entry(id).or_default();
            *times += 1;
            *times > 1
        };
        tell(&watch, Point::WorkflowAsked);
        if known {
            let error = json!([{"errorCode": "RPR-WIS-001", "message": "WorkflowInstance already present"}]);
            return Said::json(200, &json!({"response": null, "errors": error}));
        }
        Said::json(
            200,
            &json!({"response": {"workflowInstanceId": "0f5c"}, "errors": null}),
        )
    })
}
