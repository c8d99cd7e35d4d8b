//! What stands behind the gateway: upstreams, and logins at MOSIP where it is spoken to directly.

use std::fmt::Write as _;

use super::work::{Address, Work, quote};

pub(super) fn sections(work: &mut Work<'_>) -> String {
    let mut text = String::from("# What stands behind.\n");
    text.push_str(&if work.request.direct {
        direct(work)
    } else {
        through_the_misp(work)
    });
    text.push_str(&core(work));
    text
}

/// The name of the upstream that leads to MOSIP's services.
pub(super) const fn mosip(work: &Work<'_>) -> &'static str {
    if work.request.direct { "mosip" } else { "misp" }
}

/// How it is sealed towards MOSIP.
pub(super) const fn envelope(work: &Work<'_>) -> &'static str {
    if work.request.direct {
        "insecure_plain"
    } else {
        "jose"
    }
}

fn through_the_misp(work: &mut Work<'_>) -> String {
    let address = match &work.request.misp_address {
        Some(address) => format!("[{}]", quote(address)),
        None => format!(
            "[]   {}",
            work.todo("the address of the MISP's gateway, such as \"https://gateway.misp.example:8443\" (--misp-address)")
        ),
    };
    let party = quote(work.request.misp_id.as_deref().unwrap_or("misp"));
    for name in [
        "MOSIP_AUTH_URL",
        "MOSIP_AUTH_CLIENT_APP_ID",
        "MOSIP_PACKET_AUTH_CLIENT_ID",
        "MOSIP_PACKET_AUTH_CLIENT_SECRET",
        "MOSIP_WEBSUB_AUTH_CLIENT_ID",
        "MOSIP_WEBSUB_AUTH_CLIENT_SECRET",
    ] {
        if let Some(value) = work.peek(name) {
            work.weak(name, value);
            work.findings.unused(
                name,
                "the MISP's gateway logs in at MOSIP: give it to its operator and withdraw it here",
            );
        }
    }
    if work.peek("MOSIP_WEBSUB_HUB_URL").is_some() {
        let why = "the MISP's gateway subscribes at the hub; we subscribe there, at /websub/hub";
        work.findings.unused("MOSIP_WEBSUB_HUB_URL", why);
    }
    if work.peek("MOSIP_CREATE_PACKET_URL").is_some() {
        let why = "packets go to the MISP's gateway, which knows MOSIP's address";
        work.findings.unused("MOSIP_CREATE_PACKET_URL", why);
    }
    format!(
        "[[upstream]]\nname = \"misp\"\naddresses = {address}\nparty = {party}\nanchors = [\"tls\"]\n\n"
    )
}

fn direct(work: &mut Work<'_>) -> String {
    work.findings.warn(
        "--direct: nothing but TLS protects packets and subscriptions on the way to MOSIP, and MOSIP's secrets stay on this machine. \
         A gateway at the MISP takes both away.",
    );
    let mut text = String::new();
    let packets = work.take_address(
        "MOSIP_CREATE_PACKET_URL",
        "where packets are made (upstream `mosip`)",
    );
    upstream(
        work,
        &mut text,
        "mosip",
        packets.as_ref(),
        "party = \"mosip\"\nlogin = \"packet\"\n",
    );
    let hub = work.take_address("MOSIP_WEBSUB_HUB_URL", "the hub (upstream `hub`)");
    upstream(work, &mut text, "hub", hub.as_ref(), "login = \"websub\"\n");
    let login = work.take_address("MOSIP_AUTH_URL", "where we log in (upstream `authmanager`)");
    upstream(work, &mut text, "authmanager", login.as_ref(), "");
    let app = work.take_or(
        "MOSIP_AUTH_CLIENT_APP_ID",
        "admin",
        "the application of both logins",
    );
    let path = login.map_or_else(String::new, |a| a.path);
    for (name, id_variable, secret_variable) in [
        (
            "packet",
            "MOSIP_PACKET_AUTH_CLIENT_ID",
            "MOSIP_PACKET_AUTH_CLIENT_SECRET",
        ),
        (
            "websub",
            "MOSIP_WEBSUB_AUTH_CLIENT_ID",
            "MOSIP_WEBSUB_AUTH_CLIENT_SECRET",
        ),
    ] {
        let used = format!("the client of login `{name}`");
        let id = work.take_or(id_variable, &format!("mosip-{name}-client"), &used);
        let file = format!("{name}-login");
        let secret = work
            .take_secret(secret_variable, &file, &used)
            .unwrap_or_else(|| {
                work.findings.missing(
                    secret_variable,
                    format!("put the client's secret into secrets/{file}"),
                );
                work.todo(&format!(
                    "secrets/{file}: the secret of MOSIP's client {id}"
                ));
                format!("{{ file = \"secrets/{file}\" }}")
            });
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[login]]\nname = \"{name}\"\nupstream = \"authmanager\"\npath = {}\nclient_id = {}   # {id_variable}\nsecret = {secret}\napp_id = {}\n\n",
            quote(&path),
            quote(&id),
            quote(&app),
        );
    }
    text
}

/// OpenCRVS itself: where registrations are confirmed, and whose key signs its tokens.
fn core(work: &mut Work<'_>) -> String {
    let mut text = String::new();
    let core = work.take_address(
        "OPENCRVS_GATEWAY_URL",
        "registrations are confirmed there (upstream `core`)",
    );
    if core.as_ref().is_some_and(|a| !a.path.is_empty()) {
        work.findings.warn(
            "OPENCRVS_GATEWAY_URL has a path; the middleware left it out, and so does this gateway",
        );
    }
    upstream(work, &mut text, "core", core.as_ref(), "");
    let keys = work.take_address(
        "OPENCRVS_PUBLIC_KEY_URL",
        "the key of OpenCRVS' tokens is fetched ahead from there (upstream `core-keys`)",
    );
    upstream(work, &mut text, "core-keys", keys.as_ref(), "");
    text
}

/// One upstream; without an address it is left open.
pub(super) fn upstream(
    work: &mut Work<'_>,
    text: &mut String,
    name: &str,
    address: Option<&Address>,
    more: &str,
) {
    let secure = address.is_some_and(|a| a.secure);
    let addresses = match address {
        Some(address) => format!("[{}]", quote(&address.origin)),
        None => format!(
            "[]   {}",
            work.todo(&format!("the address of upstream `{name}`"))
        ),
    };
    let tls = if secure {
        "anchors = [\"public\"]\nclient_certificate = false\n"
    } else {
        ""
    };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "[[upstream]]\nname = \"{name}\"\naddresses = {addresses}\n{more}{tls}\n"
    );
}
