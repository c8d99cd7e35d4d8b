//! The service face: who of our own may come, and how it is known.

use std::{fs, io::Write, net::TcpStream, time::Duration};

use crate::harness::{Answer, Ask, Reloaded, Signer, Site, Tls, Wire, run, triseal};

/// An authentication as the SDK sends it to the partner's service face: words in place of licence and key, sealed to the
/// partner's gateway, signed with the service's own key.
pub fn of_sdk(site: &Site) -> Ask {
    let mut ask = site
        .auth()
        .sealed_to(&site.party("crvs").join("encryption.pem"));
    ask.signer = Signer::load(&site.party("sdk"), "signature");
    "local".clone_into(&mut ask.licence);
    "local".clone_into(&mut ask.api_key);
    ask
}

/// Sends it over plain HTTP.
#[track_caller]
pub fn plain(site: &Site, wire: &Wire) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", site.service_face())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream.write_all(&wire.http1()).unwrap();
    Answer::read(&mut stream).expect("an answer")
}

/// A site whose partner gateway has a pepper, so that it can know tokens, and the hash of a token.
fn with_tokens(name: &str, token: &str) -> (Site, String) {
    let site = Site::new(name);
    fs::copy(
        site.path("misp/secrets/pepper"),
        site.path("crvs/secrets/pepper"),
    )
    .unwrap();
    site.replace(
        "crvs/gateway.toml",
        "state = \"state\"",
        "state = \"state\"\npepper = { file = \"secrets/pepper\" }",
    );
    let config = site.path("crvs/gateway.toml").display().to_string();
    let hashed = run(
        env!("CARGO_BIN_EXE_triseal"),
        ["partners", "hash", "--config", &config, "--kind", "token"],
        &[],
        token.as_bytes(),
    );
    assert_eq!(hashed.code, 0, "{}", hashed.all());
    let hash = hashed.out.trim().to_owned();
    assert!(!hash.contains(token));
    (site, hash)
}

const NETWORKS: &str = "networks = [\"127.0.0.0/8\", \"::1/128\"]";

#[test]
fn a_service_known_by_its_network_reaches_mosip_through_both_gateways() {
    let mut site = Site::new("service-network");
    site.start_misp();
    site.start_crvs();
    let wire = of_sdk(&site)
        .header("x-correlation-id", "it-through-both-gateways")
        .wire();
    let answer = plain(&site, &wire);
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    assert_eq!(answer.correlation_id(), "it-through-both-gateways");
    let (near, far) = (
        site.crvs().line("it-through-both-gateways"),
        site.misp().line("it-through-both-gateways"),
    );
    assert_eq!(
        (&near["partner"], &far["partner"]),
        (&"sdk".into(), &"crvs".into())
    );
    assert_ne!(near["signed_by"], far["signed_by"]);
    // The network is no longer admitted.
    site.replace(
        "crvs/partners/sdk.toml",
        NETWORKS,
        "networks = [\"10.99.0.0/16\"]",
    );
    assert_eq!(site.crvs().reload(), Reloaded::Published);
    let answer = plain(&site, &of_sdk(&site).wire());
    assert_eq!((answer.code().as_str(), answer.status), ("ID-006", 401));
    assert_eq!(site.crvs().logged(&answer), "ID-006");
}

#[test]
fn a_right_token_admits_and_a_wrong_one_does_not_even_where_the_network_would() {
    let token = "a-token-that-nobody-guesses-4711";
    let (mut site, hash) = with_tokens("service-token", token);
    site.replace(
        "crvs/partners/sdk.toml",
        NETWORKS,
        &format!("{NETWORKS}\ntoken_hashes = [\"{hash}\"]"),
    );
    site.start_misp();
    site.start_crvs();
    let with = |authorization: &str| {
        let wire = of_sdk(&site).wire().header("Authorization", authorization);
        let answer = plain(&site, &wire);
        (answer.code(), answer.says_yes())
    };
    assert_eq!(with(&format!("Bearer {token}")), ("-".into(), true));
    assert_eq!(
        with("Authorization"),
        ("-".into(), true),
        "the network alone"
    );
    assert_eq!(with(&format!("Bearer {token}x")), ("ID-006".into(), false));
    assert_eq!(with("Bearer x"), ("ID-006".into(), false));
    assert_eq!(with("Bearer "), ("ID-006".into(), false));
    // Without the network only the token admits.
    site.replace("crvs/partners/sdk.toml", NETWORKS, "networks = []");
    assert_eq!(site.crvs().reload(), Reloaded::Published);
    let with = |authorization: &str| {
        let wire = of_sdk(&site).wire().header("Authorization", authorization);
        plain(&site, &wire).code()
    };
    assert_eq!(with(&format!("Bearer {token}")), "-");
    assert_eq!(with("Authorization"), "ID-006");
    assert_eq!(with(token), "ID-006");
}

/// What OpenCRVS' deployment means to send with every answer, and no setting takes away (reference 5.5).
#[track_caller]
fn for_browsers(answer: &Answer) {
    for (name, value) in [
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("cache-control", "no-store"),
        ("pragma", "no-cache"),
        ("x-robots-tag", "none"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[test]
fn a_client_certificate_admits_on_a_service_face_with_tls() {
    let mut site = Site::new("service-tls");
    let listen = format!("listen = \"127.0.0.1:{}\"", site.service_face());
    site.replace(
        "crvs/gateway.toml",
        &format!("kind = \"service\"\n{listen}"),
        &format!(
            "kind = \"service\"\n{listen}\ntls = true\nhosts = [\"localhost\"]\nanchors = [\"tls\"]"
        ),
    );
    site.replace("crvs/partners/sdk.toml", NETWORKS, "certificate = true");
    site.replace(
        "crvs/partners/sdk.toml",
        "anchors = { ",
        "anchors = { tls = [\"tls\"], ",
    );
    site.replace(
        "crvs/partners/sdk.toml",
        "certificate = [\n",
        "certificate = [\n    { role = \"tls\", file = \"../../pki/parties/sdk/tls.pem\" },\n",
    );
    site.start_misp();
    site.start_crvs();
    // The ports may have changed at the start.
    let face = site.service_face();
    let request = || of_sdk(&site).wire().http1();
    let answer = site
        .client_of(&site.party("sdk"), "tls")
        .connect(face)
        .unwrap()
        .ask(&request());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    for_browsers(&answer);
    // Another certificate of the same CA.
    let answer = site
        .client_of(&site.party("seeder"), "tls")
        .connect(face)
        .unwrap()
        .ask(&request());
    assert_eq!((answer.code().as_str(), answer.status), ("ID-006", 401));
    for_browsers(&answer);
    // What the gate refuses before there is an exchange.
    let answer = site
        .client_of(&site.party("sdk"), "tls")
        .connect(face)
        .unwrap()
        .ask(b"GET /a HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n");
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-004", 421));
    for_browsers(&answer);
    // None at all, and a revoked one.
    let none = Tls::new(&site.ca())
        .connect(face)
        .ok()
        .and_then(|mut client| {
            client.send(&request());
            client.answer()
        });
    assert!(
        none.as_ref().is_none_or(|a| a.code() == "ID-006"),
        "{none:?}"
    );
    assert!(
        site.client_of(&site.twin("revoked"), "tls")
            .refusal(face)
            .is_some()
    );
    // And no plain HTTP on that port.
    let mut stream = TcpStream::connect(("127.0.0.1", face)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    stream.write_all(&request()).unwrap();
    assert!(Answer::read(&mut stream).is_none());
}

#[test]
fn a_service_speaks_only_for_our_own_partner_id() {
    let mut site = Site::new("service-id");
    site.start_crvs();
    let mut ask = of_sdk(&site);
    "seeder".clone_into(&mut ask.partner);
    assert_eq!(plain(&site, &ask.wire()).code(), "ID-007");
}

#[test]
fn a_spoofed_identity_header_is_refused_on_the_service_face_too() {
    let mut site = Site::new("service-spoof");
    site.start_crvs();
    for (name, code) in [
        ("x-triseal-partner", "HTTP-013"),
        ("x_triseal_partner", "HTTP-007"),
    ] {
        let wire = of_sdk(&site).header(name, "misp").wire();
        assert_eq!(plain(&site, &wire).code(), code);
    }
}

#[test]
fn a_plain_service_face_beyond_loopback_is_refused_by_check() {
    let site = Site::new("service-beyond");
    let config = site.path("crvs/gateway.toml").display().to_string();
    assert_eq!(triseal(["check", "--config", &config]).code, 0);
    site.replace(
        "crvs/gateway.toml",
        &format!("listen = \"127.0.0.1:{}\"", site.service_face()),
        &format!("listen = \"0.0.0.0:{}\"", site.service_face()),
    );
    let checked = triseal(["check", "--config", &config]);
    assert_eq!(checked.code, 2);
    assert!(checked.err.contains("loopback"), "{}", checked.err);
}
