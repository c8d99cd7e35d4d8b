//! The doors beside IDA in both configurations: packets and workflows, credentials by WebSub, OpenCRVS' own API. Each
//! function is a part of a configuration; the parts of one gateway stand together.

use super::Ports;

/// What the two sides agree on for the partner's credentials.
pub(super) const TOPIC: &str = "crvs/CREDENTIAL_ISSUED";

/// Routes that a partner may use at the MISP's gateway.
pub(super) const PARTNER_ROUTES: [&str; 3] = ["create-packet", "workflow", "websub-hub"];
/// Routes that MOSIP's own services may use at the MISP's gateway.
pub(super) const MOSIP_ROUTES: [&str; 1] = ["websub-delivery"];
/// Routes that the MISP may use at the partner's gateway.
pub(super) const MISP_ROUTES: [&str; 1] = ["websub-callback"];
/// Routes that services may use at the partner's gateway.
pub(super) const SERVICE_ROUTES: [&str; 2] = ["create-packet", "workflow"];

/// More of the MISP's gateway.
pub(super) fn misp(ports: Ports) -> String {
    let Ports {
        mosip,
        misp_services,
        partner_callback,
        ..
    } = ports;
    let packets = packets("partner", "jose", "registration", "insecure_plain");
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
{packets}
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

/// What a partner's file at the MISP's gateway says about WebSub.
pub(super) fn subscriber(ports: Ports) -> String {
    let face = ports.partner_callback;
    format!(
        r#"
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
        ..
    } = ports;
    let packets = packets("service", "insecure_plain", "misp", "jose");
    format!(
        r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]
{packets}
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
"#
    )
}

/// createPacket and workflowinstance.
fn packets(face: &str, from: &str, upstream: &str, to: &str) -> String {
    [
        (
            "create-packet",
            "/commons/v1/packetmanager/createPacket",
        ),
        (
            "workflow",
            "/registrationprocessor/v1/workflowmanager/workflowinstance",
        ),
    ]
    .iter()
    .map(|(name, path)| {
        format!(
            r#"
[[route]]
name = "{name}"
path = "{path}"
handler = "packet"
from = {{ face = "{face}", envelope = "{from}" }}
to = {{ upstream = "{upstream}", envelope = "{to}" }}
packet = {{ processes = ["CRVS_NEW", "CRVS_DEATH"], sources = ["OPENCRVS"], ref_ids = ["10001_10004"] }}
"#
        )
    })
    .collect()
}
