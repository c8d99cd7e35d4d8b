//! The doors beside IDA in both configurations: packets and workflows, credentials by WebSub, OpenCRVS' own API, E-Signet
//! and the token seeder. Here is what both have in common.

pub(super) mod misp;
pub(super) mod partner;

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
const ESIGNET_PUBLISHED: [(&str, &str); 3] = [
    ("esignet-keys", "/v1/esignet/oauth/.well-known/jwks.json"),
    (
        "esignet-discovery",
        "/v1/esignet/oidc/.well-known/openid-configuration",
    ),
    (
        "esignet-discovery-oauth",
        "/v1/esignet/oauth/.well-known/oauth-authorization-server",
    ),
];
/// The API of OpenCRVS' middleware.
const OPENCRVS: [(&str, &str); 3] = [
    ("crvs-register", "/events/registration"),
    ("crvs-verify", "/verify"),
    ("crvs-userinfo", "/esignet/get-oidp-user-info"),
];

/// Routes that MOSIP's own services may use at the MISP's gateway.
pub(super) const MOSIP_ROUTES: [&str; 3] = ["websub-delivery", "partner-events", "mts-callback"];
/// Routes that the MISP may use at the partner's gateway.
pub(super) const MISP_ROUTES: [&str; 2] = ["websub-callback", "mts-callback"];

/// Routes that a partner may use at the MISP's gateway.
pub(super) fn partner_routes() -> Vec<&'static str> {
    let mut names = vec!["websub-hub", "evidence", "certificates"];
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
