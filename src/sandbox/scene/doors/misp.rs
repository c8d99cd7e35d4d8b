//! The MISP's gateway: what it has beside IDA, and the partner files that go with it.

use super::{MOSIP_ROUTES, PROGRAM, TOPIC, shared};
use crate::sandbox::{mosip::TOPICS, scene::Ports};

/// More of the configuration.
pub(in crate::sandbox::scene) fn configuration(ports: Ports) -> String {
    let routes = shared(
        "partner",
        "jose",
        ["registration", "esignet", "mts"],
        "insecure_plain",
    );
    [
        registration(ports),
        websub(ports),
        partner_events(ports),
        esignet(ports),
        token_seeder(ports),
        "\n# ---- What partners may ask for ----\n".to_owned(),
        routes,
        EVIDENCE.to_owned(),
        CERTIFICATES.to_owned(),
    ]
    .concat()
}

/// Where partners fetch what was recorded of them, and the proofs.
const EVIDENCE: &str = r#"
[[route]]
name = "evidence"
path = "/evidence/{rest}"
handler = "evidence"
from = { face = "partner", envelope = "insecure_plain" }
"#;

/// Where partners replace their own certificates.
const CERTIFICATES: &str = r#"
[[route]]
name = "certificates"
path = "/certificates/{rest}"
handler = "certificates"
from = { face = "partner", envelope = "jose" }
"#;

/// MOSIP's own services, as the MISP's gateway knows them.
pub(in crate::sandbox::scene) fn mosip_services() -> String {
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
pub(in crate::sandbox::scene) fn subscriber(ports: Ports) -> String {
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

/// MOSIP's registration side.
fn registration(ports: Ports) -> String {
    let Ports { mosip, .. } = ports;
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
"#
    )
}

/// The hub.
fn websub(ports: Ports) -> String {
    let Ports {
        mosip,
        misp_services,
        partner_callback,
        ..
    } = ports;
    format!(
        r#"
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
"#
    )
}

/// What MOSIP's partner management decides, into this gateway's registry.
fn partner_events(ports: Ports) -> String {
    let Ports {
        mosip,
        misp_services,
        ..
    } = ports;
    let subscriptions: String = TOPICS
        .map(|topic| {
            format!(
                r#"
[[websub.subscription]]
name = "{topic}"
topic = "{topic}"
upstream = "hub-events"
callback = "http://127.0.0.1:{misp_services}/events/{topic}"
secret = {{ file = "secrets/hub-secret-events" }}
hand_on = {{ registry = true }}
"#
            )
        })
        .concat();
    format!(
        r#"
# ---- What MOSIP's partner management decides about partners, keys, licences and policies, into the registry ----

# General topics need a client with the role for each; the partner's client has none of them.
[[login]]
name = "hub-misp"
upstream = "authmanager"
client_id = "misp"
secret = {{ file = "secrets/hub-client-misp" }}

[[upstream]]
name = "hub-events"
addresses = ["http://127.0.0.1:{mosip}"]
login = "hub-misp"

[[route]]
name = "partner-events"
path = "/events/{{topic}}"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}
{subscriptions}"#
    )
}

/// E-Signet.
fn esignet(ports: Ports) -> String {
    let Ports { esignet, .. } = ports;
    format!(
        r#"
# ---- E-Signet, its keys and documents fetched ahead ----

[[upstream]]
name = "esignet"
addresses = ["http://127.0.0.1:{esignet}"]

[esignet]
issuer = "http://127.0.0.1:{esignet}/v1/esignet"
upstream = "esignet"
envelope = "insecure_plain"
"#
    )
}

/// The token seeder.
fn token_seeder(ports: Ports) -> String {
    let Ports {
        misp_services,
        partner_callback,
        mts,
        ..
    } = ports;
    format!(
        r#"
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
"#
    )
}
