//! The two gateways' configurations as far as IDA needs them, their partner files, and the SDK's settings.

use std::path::Path;

use super::Ports;

/// The three certificates of a party, as the configuration of its own gateway names them.
fn own_certificates(id: &str) -> String {
    ["tls", "encryption", "signature"]
        .iter()
        .map(|role| {
            format!(
                "\n[[party.certificate]]\nrole = \"{role}\"\ncertificate = \"../pki/parties/{id}/{role}.pem\"\nkey = \"../pki/parties/{id}/{role}.key.pem\"\n"
            )
        })
        .collect()
}

/// The anchors of the sandbox's PKI, each with the lists that cover it.
fn anchors(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| {
            format!(
                "\n[[anchor]]\nname = \"{name}\"\ncertificates = [\"../pki/anchors/{name}.pem\"]\ncrls = [\"../pki/crl/root.crl.pem\", \"../pki/crl/{name}.crl.pem\"]\ngrace_s = 86400\n"
            )
        })
        .collect()
}

fn peer(id: &str, organisation: &str, anchor: &str) -> String {
    format!(
        "\n[[peer]]\nid = \"{id}\"\norganisation = \"{organisation}\"\nanchors = {{ encryption = [\"{anchor}\"], signature = [\"{anchor}\"] }}\ncertificate = [\n    {{ role = \"encryption\", file = \"../pki/parties/{id}/encryption.pem\" }},\n    {{ role = \"signature\", file = \"../pki/parties/{id}/signature.pem\" }},\n]\n"
    )
}

/// The seven IDA routes, and the words of their paths.
const IDA_ROUTES: [(&str, &str); 7] = [
    ("ida-auth", "auth"),
    ("ida-kyc", "kyc"),
    ("ida-otp", "otp"),
    ("ida-kyc-auth", "kyc-auth/delegated"),
    ("ida-kyc-exchange", "kyc-exchange/delegated"),
    ("ida-key-binding", "identity-key-binding/delegated"),
    ("ida-vci-exchange", "vci-exchange/delegated"),
];

fn ida_routes(face: &str, upstream: &str, more: &str) -> String {
    IDA_ROUTES.iter()
    .map(|(name, word)| {
        format!(
            "\n[[route]]\nname = \"{name}\"\npath = \"/idauthentication/v1/{word}/{{misp_lk}}/{{partner_id}}/{{api_key}}\"\nhandler = \"ida\"\nfrom = {{ face = \"{face}\", envelope = \"mosip-ida\" }}\nto = {{ upstream = \"{upstream}\", envelope = \"mosip-ida\"{more} }}\n"
        )
    })
    .collect()
}

pub(super) fn misp_gateway(ports: Ports) -> String {
    format!(
        r#"# The MISP's gateway: partners come to its partner face over mutual TLS; it opens what they sealed, asks its
# policies, seals anew for MOSIP's IDA with its own three certificates, and signs every answer.

[gateway]
name = "misp"
partners = "partners"
state = "state"
pepper = {{ file = "secrets/pepper" }}

[party]
id = "misp"
organisation = "MISP One"
{own}{anchors}{peer}
[[face]]
name = "partners"
kind = "partner"
listen = "127.0.0.1:{face}"
hosts = ["localhost"]
anchors = ["tls"]

[admin]
listen = "127.0.0.1:{admin}"

[log]
access = "access.log"

[evidence]
level = "required"

[[upstream]]
name = "ida"
addresses = ["https://localhost:{ida}"]
party = "mosip"
anchors = ["tls"]

[[policy]]
id = "ekyc"
document = "policies/ekyc.json"

[[policy]]
id = "delegation"
kind = "misp"
document = "policies/misp.json"
{routes}"#,
        own = own_certificates("misp"),
        anchors = anchors(&["tls", "partner", "mosip"]),
        peer = peer("mosip", "MOSIP", "mosip"),
        face = ports.partner_face,
        admin = ports.misp_admin,
        ida = ports.ida,
        routes = ida_routes("partner", "ida", ""),
    )
}

pub(super) fn partner_gateway(ports: Ports) -> String {
    let substitutes =
        ", misp_lk = { file = \"secrets/misp-licence\" }, api_key = { file = \"secrets/api-key\" }";
    format!(
        r#"# The partner's gateway: its services speak to the service face as if it were MOSIP; licence, API key and the three
# certificates stay here.

[gateway]
name = "crvs"
partners = "partners"
state = "state"

[party]
id = "crvs"
organisation = "Civil Registry"
{own}{anchors}{peer}
[[face]]
name = "services"
kind = "service"
listen = "127.0.0.1:{face}"

[admin]
listen = "127.0.0.1:{admin}"

[log]
access = "access.log"

[[upstream]]
name = "misp"
addresses = ["https://localhost:{misp}"]
party = "misp"
anchors = ["tls"]
{routes}"#,
        own = own_certificates("crvs"),
        anchors = anchors(&["tls", "partner"]),
        peer = peer("misp", "MISP One", "partner"),
        face = ports.service_face,
        admin = ports.partner_admin,
        misp = ports.partner_face,
        routes = ida_routes("service", "misp", substitutes),
    )
}

/// The line of routes in a partner's file: IDA's and more.
fn routes(more: &[&str]) -> String {
    let ida = IDA_ROUTES.iter().map(|(name, _)| *name);
    let names: Vec<String> = ida
        .chain(more.iter().copied())
        .map(|name| format!("\"{name}\""))
        .collect();
    format!("routes = [{}]\n", names.join(", "))
}

/// A partner's file; `routes_more` beside IDA's, `more` at its end.
pub(super) fn partner_file(
    id: &str,
    organisation: &str,
    api_key: Option<&str>,
    routes_more: &[&str],
    more: &str,
) -> String {
    let routes = routes(routes_more);
    let key = api_key.map_or_else(String::new, |hash| {
        format!("\n[[api_key]]\nhash = \"{hash}\"\npolicy = \"ekyc\"\n")
    });
    format!(
        "id = \"{id}\"\norganisation = \"{organisation}\"\n{routes}anchors = {{ tls = [\"tls\"], encryption = [\"partner\"], signature = [\"partner\"] }}\nclients = [\"mosip-auth-sdk\", \"opencrvs\"]\ncertificate = [\n    {{ role = \"tls\", file = \"../../pki/parties/{id}/tls.pem\" }},\n    {{ role = \"encryption\", file = \"../../pki/parties/{id}/encryption.pem\" }},\n    {{ role = \"signature\", file = \"../../pki/parties/{id}/signature.pem\" }},\n]\n{key}{more}"
    )
}

pub(super) fn misp_file(licence: &str) -> String {
    format!(
        "# The MISP itself, as the holder of the licence key that partners put into their paths.\nid = \"misp\"\norganisation = \"MISP One\"\nkind = \"misp\"\n\n[[licence_key]]\nhash = \"{licence}\"\npolicy = \"delegation\"\n"
    )
}

/// The service behind the partner's gateway: the published Python SDK with keys of its own, known by its network.
pub(super) fn sdk_service(routes_more: &[&str]) -> String {
    format!(
        r#"# Services of ours, among them the published Python SDK. It cannot do mutual TLS and holds neither licence nor API key;
# the keys it signs with are good for this face only.
id = "sdk"
organisation = "Civil Registry"
kind = "service"
{routes}anchors = {{ encryption = ["partner"], signature = ["partner"] }}
clients = ["mosip-auth-sdk", "opencrvs"]
certificate = [
    {{ role = "encryption", file = "../../pki/parties/sdk/encryption.pem" }},
    {{ role = "signature", file = "../../pki/parties/sdk/signature.pem" }},
]

[access]
networks = ["127.0.0.0/8", "::1/128"]
"#,
        routes = routes(routes_more),
    )
}

pub(super) fn sdk_settings(ports: Ports, sdk: &Path, gateway: &Path, password: &str) -> String {
    format!(
        r#"# Settings of mosip-auth-sdk against the partner's service face. Licence and API key are words only: the gateway puts the
# real ones in their place.
[mosip_auth]
timestamp_format = "%Y-%m-%dT%H:%M:%S"
ida_auth_version = "1.0"
ida_auth_request_demo_id = "mosip.identity.auth"
ida_auth_request_kyc_id = "mosip.identity.kyc"
ida_auth_request_otp_id = "mosip.identity.otp"
ida_auth_env = "Staging"
authorization_header_constant = "Authorization"
partner_apikey = "local"
partner_misp_lk = "local"
partner_id = "crvs"

[mosip_auth_server]
ida_auth_url = "http://127.0.0.1:{face}/idauthentication/v1"
ida_auth_domain_uri = "https://localhost"

[crypto_encrypt]
symmetric_key_size = 256
symmetric_nonce_size = 128
symmetric_gcm_tag_size = 128
encrypt_cert_path = "{gateway}/encryption.pem"
decrypt_p12_file_path = "{sdk}/encryption.p12"
decrypt_p12_file_password = "{password}"

[crypto_signature]
algorithm = "RS256"
sign_p12_file_path = "{sdk}/signature.p12"
sign_p12_file_password = "{password}"

[logging]
log_file_path = "{log}/sdk.log"
log_format = "%(asctime)s:%(levelname)s:%(message)s"
loglevel = "INFO"
"#,
        face = ports.service_face,
        gateway = gateway.display(),
        sdk = sdk.display(),
        log = sdk
            .parent()
            .and_then(Path::parent)
            .and_then(Path::parent)
            .unwrap_or(sdk)
            .display(),
    )
}
