//! The doors beside IDA in both configurations: packets and workflows, credentials by WebSub, OpenCRVS' own API, E-Signet
//! and the token seeder. Each function is a part of a configuration.

use super::Ports;

/// What the two sides agree on for the partner's credentials.
pub(super) const TOPIC: &str = "crvs/CREDENTIAL_ISSUED";

/// The jq program that the OpenG2P connector asks for.
pub(super) const PROGRAM: &str =
    r#"[{updateId: .input.id, ids: [{id_type: "MOSIP UIN TOKEN", value: .output.token}]}]"#;

/// Packets and workflows.
const PACKETS: [(&str, &str); 2] = [
    ("create-packet", "/commons/v1/packetmanager/createPacket"),
    (
        "workflow",
        "/registrationprocessor/v1/workflowmanager/workflowinstance",
    ),
];
/// The token seeder's own API.
const SEEDER: [(&str, &str, &str); 7] = [
    ("mts-json", "POST", "/authtoken/json"),
    ("mts-csv", "POST", "/authtoken/csv"),
    ("mts-odk", "POST", "/authtoken/odk"),
    ("mts-status", "GET", "/authtoken/status/{id}"),
    ("mts-file", "GET", "/authtoken/file/{id}"),
    ("mts-fields", "GET", "/authtoken/authfields"),
    ("mts-ping", "GET", "/ping"),
];
/// E-Signet: what goes there, and what is answered from what was fetched ahead.
const ESIGNET: [(&str, &str); 3] = [
    ("esignet-token", "/v1/esignet/oauth/token"),
    ("esignet-token-v2", "/v1/esignet/oauth/v2/token"),
    ("esignet-userinfo", "/v1/esignet/oidc/userinfo"),
];
const ESIGNET_PUBLISHED: [(&str, &str); 2] = [
    ("esignet-keys", "/v1/esignet/oauth/.well-known/jwks.json"),
    (
        "esignet-discovery",
        "/v1/esignet/oidc/.well-known/openid-configuration",
    ),
];
/// The API of OpenCRVS' middleware.
const OPENCRVS: [(&str, &str); 3] = [
    ("crvs-register", "/events/registration"),
    ("crvs-verify", "/verify"),
    ("crvs-userinfo", "/esignet/get-oidp-user-info"),
];

/// Routes that MOSIP's own services may use at the MISP's gateway.
pub(super) const MOSIP_ROUTES: [&str; 2] = ["websub-delivery", "mts-callback"];
/// Routes that the MISP may use at the partner's gateway.
pub(super) const MISP_ROUTES: [&str; 2] = ["websub-callback", "mts-callback"];

/// Routes that a partner may use at the MISP's gateway.
pub(super) fn partner_routes() -> Vec<&'static str> {
    let mut names = vec!["websub-hub"];
    names.extend(on_both_sides());
    names
}

/// Routes that services may use at the partner's gateway.
pub(super) fn service_routes() -> Vec<&'static str> {
    let mut names: Vec<_> = OPENCRVS.iter().map(|(name, _)| *name).collect();
    names.extend(on_both_sides());
    names
}

fn on_both_sides() -> impl Iterator<Item = &'static str> {
    let plain = PACKETS.iter().chain(&ESIGNET).chain(&ESIGNET_PUBLISHED);
    plain
        .map(|(name, _)| *name)
        .chain(SEEDER.iter().map(|(name, ..)| *name))
}

/// More of the MISP's gateway.
pub(super) fn misp(ports: Ports) -> String {
    let Ports {
        mosip,
        misp_services,
        partner_callback,
        esignet,
        mts,
        ..
    } = ports;
    let routes = shared(
        "partner",
        "jose",
        ["registration", "esignet", "mts"],
        "insecure_plain",
    );
    format!(
        r#"
# ---- MOSIP's registration side, behind the login of the MISP ----

[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[[upstream]]
name = "authmanager"
addresses = ["http://127.0.0.1:{mosip}"]

[[login]]
name = "registration"
upstream = "authmanager"
client_id = "mosip-regproc-client"
secret = {{ file = "secrets/regproc-client" }}

[[upstream]]
name = "registration"
addresses = ["http://127.0.0.1:{mosip}"]
login = "registration"

# ---- WebSub: the hub delivers to the face `mosip`, from there deliveries go sealed to the partner's gateway ----

[[face]]
name = "mosip"
kind = "service"
listen = "127.0.0.1:{misp_services}"

# The hub lets a client subscribe to the topics that begin with its own name.
[[login]]
name = "hub-crvs"
upstream = "authmanager"
client_id = "crvs"
secret = {{ file = "secrets/hub-client-crvs" }}

[[upstream]]
name = "hub"
addresses = ["http://127.0.0.1:{mosip}"]
login = "hub-crvs"

[[upstream]]
name = "gateway-crvs"
addresses = ["https://localhost:{partner_callback}"]
party = "crvs"
anchors = ["tls"]

[[peer]]
id = "crvs"
organisation = "Civil Registry"
anchors = {{ encryption = ["partner"], signature = ["partner"] }}
certificate = [
    {{ role = "encryption", file = "../pki/parties/crvs/encryption.pem" }},
    {{ role = "signature", file = "../pki/parties/crvs/signature.pem" }},
]

[[route]]
name = "websub-hub"
path = "/websub/hub"
handler = "websub"
from = {{ face = "partner", envelope = "jose" }}

[[route]]
name = "websub-delivery"
path = "/websub/delivery"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}

[websub]
upstream = "hub"
envelope = "insecure_plain"

[[websub.subscription]]
name = "credentials-crvs"
topic = "{TOPIC}"
callback = "http://127.0.0.1:{misp_services}/websub/delivery"
secret = {{ file = "secrets/hub-secret-crvs" }}
hand_on = {{ partners = true }}

# ---- E-Signet, its keys and documents fetched ahead ----

[[upstream]]
name = "esignet"
addresses = ["http://127.0.0.1:{esignet}"]

[esignet]
issuer = "http://127.0.0.1:{esignet}/v1/esignet"
upstream = "esignet"
envelope = "insecure_plain"

# ---- The token seeder: callbacks come to the face `mosip` and go to the partner's gateway, nowhere else ----

[[upstream]]
name = "mts"
addresses = ["http://127.0.0.1:{mts}"]

[token_seeder]
callback_base = "http://127.0.0.1:{misp_services}/token-seeder/callback"
programs = ['{PROGRAM}']

[[token_seeder.target]]
name = "crvs"
callers = ["crvs"]
address = "https://localhost:{partner_callback}"
paths = ["/token-seeder/callback/{{callback}}"]
methods = ["POST"]
upstream = "gateway-crvs"
envelope = "jose"

[[route]]
name = "mts-callback"
path = "/token-seeder/callback/{{callback}}"
methods = ["POST"]
handler = "token_seeder"
from = {{ face = "service", envelope = "insecure_plain" }}

# ---- What partners may ask for ----
{routes}"#
    )
}

/// MOSIP's own services, as the MISP's gateway knows them.
pub(super) fn mosip_services() -> String {
    let names: Vec<String> = MOSIP_ROUTES
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    format!(
        r#"# MOSIP's own services, which deliver to the face `mosip`. They are known by their network.
id = "mosip-services"
organisation = "MOSIP"
kind = "service"
routes = [{}]

[access]
networks = ["127.0.0.0/8", "::1/128"]
"#,
        names.join(", ")
    )
}

/// What a partner's file at the MISP's gateway says about E-Signet and WebSub.
pub(super) fn subscriber(ports: Ports) -> String {
    let (face, esignet) = (ports.partner_callback, ports.esignet);
    format!(
        r#"
[[oidc_client]]
id = "crvs-client"
key = "../../pki/parties/crvs/signature.pem"
redirect_uris = ["http://127.0.0.1:{esignet}/sandbox/landing", "http://localhost:3000/"]

[websub]
topics = ["{TOPIC}"]
upstream = "gateway-crvs"
callbacks = ["https://localhost:{face}/websub/callback"]
"#
    )
}

/// More of the partner's gateway.
pub(super) fn partner(ports: Ports, host: &str) -> String {
    let Ports {
        core,
        partner_callback,
        service_face,
        esignet,
        odoo,
        ..
    } = ports;
    let routes = shared("service", "insecure_plain", ["misp"; 3], "jose");
    let opencrvs: String = OPENCRVS
        .iter()
        .map(|(name, path)| format!("\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"opencrvs\"\nfrom = {{ face = \"service\", envelope = \"insecure_plain\" }}\n"))
        .collect();
    format!(
        r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

# ---- Credentials: the MISP's gateway delivers to the face `misp`; what comes is believed when MOSIP's proof holds ----

[[face]]
name = "misp"
kind = "partner"
listen = "127.0.0.1:{partner_callback}"
hosts = ["localhost"]
anchors = ["tls"]

[[route]]
name = "websub-callback"
path = "/websub/callback"
handler = "websub"
from = {{ face = "partner", envelope = "jose" }}

[websub]
upstream = "misp"
envelope = "jose"
path = "/websub/hub"

[[websub.context]]
url = "https://{host}/.well-known/mosip-context.json"
file = "../mosip/mosip-context.json"

[[websub.issuer]]
issuer = "https://{host}/.well-known/controller.json"
verification_method = "https://{host}/.well-known/public-key.json"
key = "../mosip/public-key.pem"
contexts = ["https://{host}/.well-known/mosip-context.json"]

[[websub.subscription]]
name = "credentials"
topic = "{TOPIC}"
callback = "https://localhost:{partner_callback}/websub/callback"
secret = {{ file = "secrets/hub-secret" }}
credential = {{}}
hand_on = {{ opencrvs = true }}

# ---- OpenCRVS: the API of its middleware ----

[[upstream]]
name = "core"
addresses = ["http://127.0.0.1:{core}"]

[opencrvs]
upstream = "misp"
core = "core"
client_origin = "http://localhost:3000"

[opencrvs.token]
upstream = "core"

[opencrvs.verify]
scopes = ["record.confirm-registration", "record.register"]
misp_lk = {{ file = "secrets/misp-licence" }}
api_key = {{ file = "secrets/api-key" }}
domain_uri = "https://localhost"
env = "Staging"

[opencrvs.esignet]
scopes = ["record.confirm-registration", "record.register"]
client_id = "crvs-client"
redirect_uris = ["http://127.0.0.1:{esignet}/sandbox/landing", "http://localhost:3000/"]
{opencrvs}
# ---- E-Signet: the client's assertions are made here, what comes back is verified here ----

[esignet]
issuer = "http://127.0.0.1:{esignet}/v1/esignet"
upstream = "misp"
envelope = "jose"
service_base = "http://127.0.0.1:{service_face}"

[[esignet.client]]
id = "crvs-client"
key = {{ file = "../pki/parties/crvs/signature.key.pem" }}
redirect_uris = ["http://127.0.0.1:{esignet}/sandbox/landing", "http://localhost:3000/"]

# ---- The token seeder: callbacks come to the face `misp` and go to Odoo, nowhere else ----

[[upstream]]
name = "odoo"
addresses = ["http://127.0.0.1:{odoo}"]

[token_seeder]
callback_base = "https://localhost:{partner_callback}/token-seeder/callback"
programs = ['{PROGRAM}']

[[token_seeder.target]]
name = "odoo"
callers = ["sdk"]
address = "http://127.0.0.1:{odoo}"
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

# ---- What services may ask for ----
{routes}"#
    )
}

/// The routes that both gateways have: from a face in one envelope, to an upstream in another. `upstream` names those of
/// packets, E-Signet and token seeder.
fn shared(face: &str, from: &str, upstream: [&str; 3], to: &str) -> String {
    let head = |name: &str, path: &str, handler: &str| {
        format!(
            "\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"{handler}\"\nfrom = {{ face = \"{face}\", envelope = \"{from}\" }}\n"
        )
    };
    let goes =
        |upstream: &str| format!("to = {{ upstream = \"{upstream}\", envelope = \"{to}\" }}\n");
    let [packets, esignet, seeder] = upstream;
    let mut text = String::new();
    for (name, path) in PACKETS {
        text.push_str(&head(name, path, "packet"));
        text.push_str(&goes(packets));
        text.push_str("packet = { processes = [\"CRVS_NEW\", \"CRVS_DEATH\"], sources = [\"OPENCRVS\"], ref_ids = [\"10001_10004\"] }\n");
    }
    for (name, path) in ESIGNET {
        text.push_str(&head(name, path, "esignet"));
        text.push_str(&goes(esignet));
    }
    for (name, path) in ESIGNET_PUBLISHED {
        text.push_str(&head(name, path, "esignet"));
    }
    for (name, method, path) in SEEDER {
        text.push_str(&head(name, path, "token_seeder"));
        text.push_str(&format!("methods = [\"{method}\"]\n"));
        text.push_str(&goes(seeder));
    }
    text
}
