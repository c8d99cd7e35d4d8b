//! The partner's gateway: what it has beside IDA.

use super::{OPENCRVS, PROGRAM, TOPIC, shared};
use crate::sandbox::scene::Ports;

/// More of the configuration; `host` is MOSIP's public name in credentials.
pub(in crate::sandbox::scene) fn configuration(ports: Ports, host: &str) -> String {
    [
        credentials(ports, host),
        opencrvs(ports),
        opencrvs_routes(),
        esignet(ports),
        token_seeder(ports),
        "\n# ---- What services may ask for ----\n".to_owned(),
        shared("service", "insecure_plain", ["misp"; 3], "jose"),
    ]
    .concat()
}

/// Credentials, by WebSub, and the store that they are kept in.
fn credentials(ports: Ports, host: &str) -> String {
    let Ports {
        partner_callback, ..
    } = ports;
    format!(
        r#"
[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

# ---- Evidence: also of what the gateway does by itself, with the receipts that the MISP's gateway gives ----

[evidence]
level = "required"

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
"#
    )
}

/// OpenCRVS.
fn opencrvs(ports: Ports) -> String {
    let Ports { esignet, core, .. } = ports;
    format!(
        r#"
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
"#
    )
}

/// The routes of OpenCRVS' API.
fn opencrvs_routes() -> String {
    OPENCRVS
        .iter()
        .map(|(name, path)| {
            // The code of a login comes in the query.
            let query = if *name == "crvs-userinfo" { "query = true\n" } else { "" };
            format!("\n[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"opencrvs\"\n{query}from = {{ face = \"service\", envelope = \"insecure_plain\" }}\n")
        })
        .collect()
}

/// E-Signet.
fn esignet(ports: Ports) -> String {
    let Ports {
        esignet,
        service_face,
        ..
    } = ports;
    format!(
        r#"
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
"#
    )
}

/// The token seeder.
fn token_seeder(ports: Ports) -> String {
    let Ports {
        partner_callback,
        odoo,
        ..
    } = ports;
    format!(
        r#"
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
"#
    )
}
