//! The token seeder's part of both configurations: requests go out through both gateways, callbacks come back the same way.

use super::Ports;

/// The program that OpenG2P's connector is set up with here: it puts the token beside the person it belongs to.
const FORMAT: &str =
    r#"[{updateId: .input.id, ids: [{id_type: "MOSIP UIN TOKEN", value: .output.token}]}]"#;

/// Routes of requests: at the MISP for partners, at the partner for services.
pub(super) const REQUEST_ROUTES: [&str; 7] = [
    "mts-json",
    "mts-csv",
    "mts-odk",
    "mts-status",
    "mts-file",
    "mts-fields",
    "mts-ping",
];
/// The route of callbacks, on both sides.
pub(super) const CALLBACK_ROUTE: &str = "mts-callback";

/// More of the MISP's gateway. The upstream `gateway-crvs` and the peer `crvs` stand in the part for WebSub.
pub(super) fn misp(ports: Ports) -> String {
    let Ports {
        mts,
        misp_services,
        partner_callback,
        ..
    } = ports;
    format!(
        r#"
# ---- The token seeder: it calls back to the face `mosip`, from there callbacks go sealed to the partner's gateway ----

[[upstream]]
name = "mts"
addresses = ["http://127.0.0.1:{mts}"]

[token_seeder]
callback_base = "http://127.0.0.1:{misp_services}/token-seeder/callback"
programs = ['{FORMAT}']

[[token_seeder.target]]
name = "gateway-crvs"
callers = ["crvs"]
address = "https://localhost:{partner_callback}"
paths = ["/token-seeder/callback/{{callback}}"]
methods = ["POST"]
upstream = "gateway-crvs"
envelope = "jose"
{requests}
[[route]]
name = "{CALLBACK_ROUTE}"
path = "/token-seeder/callback/{{callback}}"
methods = ["POST"]
handler = "token_seeder"
from = {{ face = "service", envelope = "insecure_plain" }}
"#,
        requests = requests("partner", "jose", "mts", "insecure_plain"),
    )
}

/// More of the partner's gateway.
pub(super) fn partner(ports: Ports) -> String {
    let Ports {
        odoo,
        partner_callback,
        ..
    } = ports;
    format!(
        r#"
# ---- The token seeder: OpenG2P's connector asks here; callbacks go to its Odoo, whose password stays here ----

[[upstream]]
name = "odoo"
addresses = ["http://127.0.0.1:{odoo}"]

[token_seeder]
callback_base = "https://localhost:{partner_callback}/token-seeder/callback"
programs = ['{FORMAT}']

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
{requests}
[[route]]
name = "{CALLBACK_ROUTE}"
path = "/token-seeder/callback/{{callback}}/{{delivery}}"
methods = ["POST"]
handler = "token_seeder"
from = {{ face = "partner", envelope = "jose" }}
"#,
        requests = requests("service", "insecure_plain", "misp", "jose"),
    )
}

/// The token seeder's own API.
fn requests(face: &str, from: &str, upstream: &str, to: &str) -> String {
    let paths = [
        ("/authtoken/json", "POST"),
        ("/authtoken/csv", "POST"),
        ("/authtoken/odk", "POST"),
        ("/authtoken/status/{id}", "GET"),
        ("/authtoken/file/{id}", "GET"),
        ("/authtoken/authfields", "GET"),
        ("/ping", "GET"),
    ];
    REQUEST_ROUTES
        .iter()
        .zip(paths)
        .map(|(name, (path, method))| {
            format!(
                r#"
[[route]]
name = "{name}"
path = "{path}"
methods = ["{method}"]
handler = "token_seeder"
from = {{ face = "{face}", envelope = "{from}" }}
to = {{ upstream = "{upstream}", envelope = "{to}" }}
"#
            )
        })
        .collect()
}
