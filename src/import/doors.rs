//! Where requests arrive: faces, the route of deliveries, and the files of who may come.

use std::fmt::Write as _;

use super::{
    party,
    work::{Work, quote, quote_all},
};

pub(super) fn sections(work: &mut Work<'_>) -> String {
    let service = service_face(work);
    let partner = if work.request.direct {
        String::new()
    } else {
        partner_face(work)
    };
    deliveries(work);
    service_file(work);
    if work.request.direct {
        hub_file(work);
    } else {
        misp_file(work);
    }
    format!(
        "{service}{partner}[admin]\nlisten = \"127.0.0.1:9900\"   # metrics and health; keep it to yourself\n\n"
    )
}

/// PORT and HOST: country configuration calls the same port as before.
fn service_face(work: &mut Work<'_>) -> String {
    let port = work.take_or("PORT", "2024", "the port of the service face");
    let host = work.take_or("HOST", "localhost", "the address of the service face");
    let port: u16 = port.parse().unwrap_or_else(|_| {
        work.findings
            .unused("PORT", "it is no port; 2024 stands in");
        2024
    });
    let address = match host.as_str() {
        "localhost" => "127.0.0.1",
        other if other.parse::<std::net::Ipv4Addr>().is_ok() => other,
        _ => {
            work.findings
                .unused("HOST", "it is no IPv4 address; 127.0.0.1 stands in");
            "127.0.0.1"
        }
    }
    .to_owned();
    let mut text = format!(
        "# Country configuration comes here, as it came to the middleware.\n[[face]]\nname = \"services\"\nkind = \"service\"\nlisten = \"{address}:{port}\"   # HOST and PORT\n"
    );
    if !address.starts_with("127.") {
        work.findings.warn(
            "HOST is reached from other machines: the service face has TLS there, which the middleware had not. Country configuration calls \
             https:// and trusts anchors/tls.pem (NODE_EXTRA_CA_CERTS).",
        );
        let hosts = hosts(work);
        let _ = write!(text, "tls = true\nhosts = {hosts}\n");
    }
    text.push('\n');
    text
}

/// The names by which we are addressed.
fn hosts(work: &mut Work<'_>) -> String {
    let mut hosts = work.hosts.clone();
    hosts.extend(work.request.hosts.iter().cloned());
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        let what = work.todo("the names of this gateway, as its TLS certificate has them (--host)");
        return format!("[]   {what}");
    }
    quote_all(&hosts)
}

/// Where the MISP's gateway delivers.
fn partner_face(work: &mut Work<'_>) -> String {
    let listen = work
        .request
        .partner_listen
        .clone()
        .unwrap_or_else(|| "0.0.0.0:8443".to_owned());
    let hosts = hosts(work);
    format!(
        "# The MISP's gateway delivers here, over mutual TLS. MOSIP_WEBSUB_CALLBACK_URL leads here.\n[[face]]\nname = \"partners\"\nkind = \"partner\"\nlisten = {}\nhosts = {hosts}\nanchors = [\"tls\"]\n\n",
        quote(&listen)
    )
}

fn deliveries(work: &mut Work<'_>) {
    let (face, envelope) = if work.request.direct {
        ("service", "insecure_plain")
    } else {
        ("partner", "jose")
    };
    let _ = write!(
        work.routes,
        "[[route]]\nname = \"websub-callback\"\npath = \"/websub/callback\"\nhandler = \"websub\"\nfrom = {{ face = \"{face}\", envelope = \"{envelope}\" }}\n\n"
    );
}

/// Country configuration. Its routes are those of the middleware, whichever of them there are.
fn service_file(work: &mut Work<'_>) {
    let networks = networks(work);
    let routes: Vec<String> = work
        .route_names
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    let routes = quote_all(&routes);
    work.public(
        "partners/country-config.toml",
        format!(
            "# OpenCRVS' country configuration: a service, known by its network. Each call brings OpenCRVS' own token as well.\n\
             id = \"country-config\"\norganisation = {}\nkind = \"service\"\nroutes = {routes}\n\n[access]\nnetworks = {networks}\n",
            quote(&work.party_id)
        ),
    );
}

/// The hub itself.
fn hub_file(work: &mut Work<'_>) {
    let networks = if work.request.hub_networks.is_empty() {
        let what = work.todo(
            "partners/hub.toml: the network of MOSIP's hub (--hub-network); its deliveries are signed besides",
        );
        format!("{what}\nnetworks = []")
    } else {
        format!("networks = {}", quote_all(&work.request.hub_networks))
    };
    work.public(
        "partners/hub.toml",
        format!(
            "# MOSIP's hub, known by its network.\nid = \"hub\"\norganisation = \"MOSIP\"\nkind = \"service\"\nroutes = [\"websub-callback\"]\n\n[access]\n{networks}\n"
        ),
    );
}

/// The MISP as a partner: its gateway delivers to us.
fn misp_file(work: &mut Work<'_>) {
    let (id, organisation) = party::misp(work);
    let tls = work
        .todo("certificates/misp-tls.pem: the TLS certificate with which the MISP's gateway comes");
    work.public(
        "partners/misp.toml",
        format!(
            "# The MISP, whose gateway delivers.\nid = {id}\norganisation = {organisation}\nkind = \"misp\"\nroutes = [\"websub-callback\"]\n\
             anchors = {{ tls = [\"tls\"], encryption = [\"partner\"], signature = [\"partner\"] }}\n{tls}\ncertificate = [\n    \
             {{ role = \"tls\", file = \"../certificates/misp-tls.pem\" }},\n    {{ role = \"encryption\", file = \"../certificates/misp-encryption.pem\" }},\n    \
             {{ role = \"signature\", file = \"../certificates/misp-signature.pem\" }},\n]\n"
        ),
    );
}

fn networks(work: &mut Work<'_>) -> String {
    if !work.request.networks.is_empty() {
        return quote_all(&work.request.networks);
    }
    if matches!(work.peek("HOST"), None | Some("localhost" | "127.0.0.1")) {
        return "[\"127.0.0.0/8\", \"::1/128\"]".to_owned();
    }
    let what = work.todo(
        "partners/country-config.toml: the network in which country configuration runs (--network)",
    );
    format!("[]   {what}")
}
