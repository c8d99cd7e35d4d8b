//! Secrets and personal data are planted wherever a caller can put them; no output of either gateway may show one.

use std::{collections::BTreeMap, fs, io::Write, net::TcpStream, time::Duration};

use serde_json::{Value, json};

use crate::{
    forge::Forger,
    harness::{Answer, Ask, Site, World, get},
};

/// What is planted, with where.
const PLANTED: [(&str, &str); 20] = [
    ("a licence key that is unknown", "CANARYlicence01"),
    ("an API key that is unknown", "CANARYapikey02"),
    ("a query", "CANARYquery03"),
    ("an individual's id", "CANARYuin04"),
    ("a name", "CANARYname05"),
    ("a one-time password", "CANARYotp06"),
    ("a PIN", "CANARYpin07"),
    ("a bearer token", "CANARYbearer08"),
    ("a body that is no JSON", "CANARYbody09"),
    ("a member's name", "CANARYmember10"),
    ("a cookie", "CANARYcookie11"),
    ("a header of no meaning", "CANARYheader12"),
    ("a path that leads nowhere", "CANARYpath13"),
    ("a path that is malformed", "CANARYmalformed14"),
    ("a kid", "CANARYkid15"),
    ("a signature that is none", "CANARYsignature16"),
    ("a partner id that is unknown", "CANARYpartner17"),
    ("a transaction", "CANARY0018"),
    ("basic credentials", "CANARYbasic19"),
    ("a form of time", "CANARYtime20"),
];

fn canary(n: usize) -> &'static str {
    PLANTED[n - 1].1
}

/// Raw bytes to the partner face; everything that comes back.
fn partner(site: &Site, bytes: &[u8], answers: &mut Vec<Answer>) {
    let mut client = site.connect();
    client
        .stream
        .sock
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client.send(bytes);
    answers.extend(client.answer());
}

fn service(site: &Site, bytes: &[u8], answers: &mut Vec<Answer>) {
    let mut stream = TcpStream::connect(("127.0.0.1", site.service_face())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    answers.extend(Answer::read(&mut stream));
}

/// The good messages of a person whose data must not show.
fn personal(site: &Site) -> Vec<Ask> {
    let person = |ask: Ask| {
        ask.set_inner(
            "demographics",
            json!({"name": [{"language": "eng", "value": canary(5)}]}),
        )
        .set_inner("otp", canary(6).into())
        .header("Cookie", canary(11))
        .header("X-Anything", canary(12))
    };
    vec![
        person(site.auth()),
        person(site.auth().kyc()),
        person(site.auth()).set("individualId", canary(4).into()),
        person(site.auth()).set("transactionID", canary(18).into()),
        person(site.auth()).set_inner("staticPin", canary(7).into()),
        person(site.auth()).set("requestTime", canary(20).into()),
        person(site.auth()).set(canary(10), canary(10).into()),
        person(site.auth()).set("version", canary(10).into()),
        person(site.auth()).set("individualIdType", json!([canary(4)])),
        site.auth().otp().set("individualId", canary(4).into()),
        site.auth().otp().set("otpChannel", json!([canary(10)])),
        site.auth(),
    ]
}

/// Requests that are wrong before anybody reads a message; `tail` is a good path's end.
fn wrong_requests(site: &Site, good: &Ask) -> Vec<Vec<u8>> {
    let wire = good.wire();
    let (licence, api_key) = (&good.licence, &good.api_key);
    let base = "/idauthentication/v1/auth";
    let mut out = Vec::new();
    for path in [
        format!("{base}/{}/crvs/{api_key}", canary(1)),
        format!("{base}/{licence}/crvs/{}", canary(2)),
        format!("{base}/{licence}/{}/{api_key}", canary(17)),
        format!("{base}/{licence}/crvs/{api_key}?secret={}", canary(3)),
        format!("{base}/{licence}/crvs/{api_key}?"),
        format!("{base}/{licence}/crvs/{api_key}/{}", canary(13)),
        format!("/{}/{licence}/{api_key}", canary(13)),
        format!("{base}//{licence}/crvs/{api_key}/{}", canary(14)),
        format!("{base}/../{licence}/crvs/{api_key}/{}", canary(14)),
        format!("{base}/{licence}%2f{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence}%00{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence}%zz{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence};{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence}\\{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence}#{}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence} {}/crvs/{api_key}", canary(14)),
        format!("{base}/{licence}\u{7f}{}/crvs/{api_key}", canary(14)),
        format!(
            "https://{}.example{base}/{licence}/crvs/{api_key}",
            canary(14)
        ),
        format!(
            "{base}/{licence}/crvs/{api_key}/{}",
            canary(14).repeat(2000)
        ),
    ] {
        let mut wrong = wire.clone();
        wrong.path = path;
        out.push(wrong.http1());
    }
    let forger = Forger::load(&site.party("crvs"), "signature");
    let mut header = forger.header();
    header["kid"] = canary(15).into();
    out.push(
        wire.clone()
            .header("signature", &forger.jws(&header, b"other bytes"))
            .http1(),
    );
    header[canary(15)] = canary(15).into();
    out.push(
        wire.clone()
            .header("signature", &forger.jws(&header, &wire.body))
            .http1(),
    );
    out.push(wire.clone().header("signature", canary(16)).http1());
    for (name, value) in [
        ("Authorization", format!("Bearer {}", canary(8))),
        ("Authorization", format!("Basic {}", canary(19))),
        ("Content-Type", format!("text/{}", canary(12))),
        ("x-triseal-partner", canary(12).to_owned()),
        ("x_triseal_partner", canary(12).to_owned()),
        (canary(12), "1".to_owned()),
        ("Expect", canary(12).to_owned()),
        ("Transfer-Encoding", canary(12).to_owned()),
        ("Host", format!("{}.example", canary(12))),
    ] {
        out.push(good.again().wire().header(name, &value).http1());
    }
    for body in [
        canary(9).to_owned(),
        format!("{{\"{0}\": \"{0}\", \"{0}\": 1}}", canary(9)),
        format!("{{\"id\": \"{}\"}}", canary(9)),
        format!(
            "{{\"id\": \"mosip.identity.auth\", \"version\": \"{}\"}}",
            canary(9)
        ),
    ] {
        out.push(good.wire_with(body.into_bytes()).http1());
    }
    // No HTTP at all.
    out.push(format!("{} {} {}\r\n\r\n", canary(14), licence, api_key).into_bytes());
    out.push(
        format!(
            "POST {base}/{licence}/crvs/{api_key} HTTP/1.1\r\n{}\r\n\r\n",
            canary(14)
        )
        .into_bytes(),
    );
    out
}

/// Every output, by name: logs, both streams, admin pages, state, and the refusals that callers got.
fn outputs(site: &Site, answers: &[Answer]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, gateway) in [("misp", site.misp()), ("crvs", site.crvs())] {
        out.insert(format!("{name}: stderr"), gateway.process().err());
        out.insert(format!("{name}: stdout"), gateway.process().out());
        for page in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
            let page_text = get(gateway.admin(), page)
                .map(|a| a.text())
                .unwrap_or_default();
            out.insert(format!("{name}: {page}"), page_text);
        }
        out.insert(
            format!("{name}: access log"),
            site.read(&format!("{name}/access.log")),
        );
        // The evidence log as well.
        let mut folders = vec![site.path(name).join("state")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if !path.is_file() {
                    // The socket for upgrades.
                    continue;
                }
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                out.insert(format!("{name}: {}", path.display()), text);
            }
        }
    }
    for (n, answer) in answers.iter().enumerate() {
        let mut text = format!("{:?}\n", answer.headers);
        // A refusal names the transaction it refuses, as MOSIP's does: that is the caller's own.
        let mut body = answer.json();
        match body.get_mut("transactionID") {
            Some(id) => {
                *id = Value::Null;
                text.push_str(&body.to_string());
            }
            None => text.push_str(&answer.text()),
        }
        out.insert(format!("answer {n} {}", answer.code()), text);
    }
    out
}

fn secrets(site: &Site) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = PLANTED
        .iter()
        .map(|(what, text)| ((*what).to_owned(), (*text).to_owned()))
        .collect();
    let scene: Value = serde_json::from_str(&site.read("scene.json")).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    out.push(("the licence key".into(), text(&scene["licence_key"])));
    for (party, password) in scene["passwords"].as_object().unwrap() {
        out.push((format!("the password of {party}"), text(password)));
    }
    out.push((
        "the pepper".into(),
        site.read("misp/secrets/pepper").trim().to_owned(),
    ));
    for party in ["misp", "crvs"] {
        for role in ["tls", "encryption", "signature"] {
            let pem = site.read(&format!("pki/parties/{party}/{role}.key.pem"));
            let line = pem
                .lines()
                .nth(2)
                .unwrap_or_else(|| pem.lines().nth(1).unwrap());
            out.push((format!("the {role} key of {party}"), line.to_owned()));
        }
    }
    out
}

#[test]
fn no_output_shows_a_secret_or_a_person() {
    let mut site = Site::new("canaries");
    // A long API key, so that it cannot stand in an output by chance.
    site.start_misp();
    site.start_crvs();
    let mut answers = Vec::new();
    let own = site.party("crvs").join("encryption.pem");
    let behind = |ask: Ask| {
        let mut ask = ask
            .signed_by(&site.party("sdk"), "signature")
            .sealed_to(&own);
        "local".clone_into(&mut ask.licence);
        "local".clone_into(&mut ask.api_key);
        ask
    };
    for ask in personal(&site) {
        partner(&site, &ask.wire().http1(), &mut answers);
        service(&site, &behind(ask.again()).wire().http1(), &mut answers);
    }
    for request in wrong_requests(&site, &site.auth()) {
        partner(&site, &request, &mut answers);
    }
    for request in wrong_requests(&site, &behind(site.auth())) {
        service(&site, &request, &mut answers);
    }
    // With nobody behind it, the partner's gateway has the real licence key in its hands and an error to report.
    let marker = site.ask(&site.auth());
    let line = site.misp().line(marker.correlation_id());
    assert_eq!(
        line["outcome"], "answered",
        "the log that is searched is being written"
    );
    let outputs_before = outputs(&site, &answers);
    let request = behind(site.auth()).wire().http1();
    site.kill_misp();
    service(&site, &request, &mut answers);
    let last = answers.last().unwrap();
    // Nobody there, or gone while it was being asked.
    assert!(
        ["UP-001", "UP-003"].contains(&last.code().as_str()),
        "{}",
        last.text()
    );
    assert_eq!(site.crvs().line(last.correlation_id())["code"], last.code());
    let late = [
        ("crvs: stderr, late".to_owned(), site.crvs().process().err()),
        (
            "crvs: access log, late".to_owned(),
            site.read("crvs/access.log"),
        ),
        (
            "crvs: healthz, late".to_owned(),
            site.crvs().healthz().text(),
        ),
        ("crvs: metrics, late".to_owned(), site.crvs().metrics()),
        ("answer, late".to_owned(), last.text()),
    ];
    assert!(answers.len() > 80, "{} answers", answers.len());
    let mut found = Vec::new();
    for (what, secret) in secrets(&site) {
        assert!(secret.len() >= 8, "{what} is too short to be searched for");
        for (name, text) in outputs_before
            .iter()
            .chain(late.iter().map(|(n, t)| (n, t)))
        {
            if text
                .to_ascii_lowercase()
                .contains(&secret.to_ascii_lowercase())
            {
                found.push(format!("{what} stands in {name}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    api_key_does_not_show(&outputs_before);
}

/// The API key is a short number; it is looked for as a word of its own.
fn api_key_does_not_show(outputs: &BTreeMap<String, String>) {
    let key = World::shared().api_key();
    for (name, text) in outputs {
        // Numbers of ours, such as sizes and times, are numbers in JSON; a key would come out of a path.
        for around in [
            format!("/{key}"),
            format!("{key}/"),
            format!("\"{key}\""),
            format!("={key}"),
        ] {
            assert!(!text.contains(&around), "the API key stands in {name}");
        }
    }
}
