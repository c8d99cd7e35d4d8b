//! Evidence as its users see it: looked up, exported, verified by us and by a program that is not ours, erased, witnessed, and
//! fetched by the partner whose it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    harness::{Answer, Output, Process, Reloaded, Site, free_ports, run, triseal, until},
    python::interpreter,
};

const ROUTE: &str = "\n[[route]]\nname = \"evidence\"\npath = \"/evidence/{rest}\"\nhandler = \"evidence\"\nfrom = { face = \"partner\", envelope = \"insecure_plain\" }\n";

/// A gateway that keeps bodies and lets its partners fetch their evidence.
fn site(name: &str) -> Site {
    let mut site = Site::new(name);
    let key = triseal(["store", "key"]);
    fs::write(site.path("misp/secrets/store-key"), key.out).unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(site.path("misp/secrets/store-key"), mode).unwrap();
    let level = "level = \"required\"";
    site.replace(
        "misp/gateway.toml",
        level,
        &format!("{level}\nbodies = \"both\""),
    );
    site.append(
        "misp/gateway.toml",
        &format!("{ROUTE}\n[store]\nurl = \"sqlite:state/store.db\"\nkey = [{{ file = \"secrets/store-key\" }}]\n"),
    );
    for partner in ["crvs", "seeder"] {
        let file = format!("misp/partners/{partner}.toml");
        site.edit(&file, |text| {
            text.replacen("routes = [", "routes = [\"evidence\", ", 1)
        });
    }
    site.start_misp();
    site
}

/// An exchange, whose record a signed head covers.
fn exchanged(site: &Site) -> Answer {
    let answer = site.ask(&site.auth());
    assert!(answer.says_yes(), "{}", answer.text());
    covered(site, answer.correlation_id());
    answer
}

fn covered(site: &Site, id: &str) {
    until("a signed head covers the record", || {
        (evidence(site, &["export", id]).code == 0).then_some(())
    });
}

fn evidence(site: &Site, args: &[&str]) -> Output {
    let config = site.path("misp/gateway.toml").display().to_string();
    let mut all = vec!["evidence", args[0], "--config", &config];
    all.extend(&args[1..]);
    triseal(all)
}

/// Exports with the receipt that the partner holds.
fn export(site: &Site, answer: &Answer, more: &[&str]) -> PathBuf {
    let (out, receipt, body) = (
        site.path("proof.json"),
        site.path("receipt"),
        site.path("answer"),
    );
    fs::write(&receipt, answer.header("response-signature").unwrap()).unwrap();
    fs::write(&body, &answer.body).unwrap();
    let paths = [&out, &receipt, &body].map(|p| p.display().to_string());
    let mut args = vec![
        "export",
        answer.correlation_id(),
        "--out",
        &paths[0],
        "--receipt",
        &paths[1],
        "--answer",
        &paths[2],
    ];
    args.extend(more);
    let done = evidence(site, &args);
    assert_eq!(done.code, 0, "{}", done.all());
    out
}

fn anchor(site: &Site) -> String {
    site.path("pki/anchors/partner.pem").display().to_string()
}

pub fn verify(site: &Site, bundle: &Path) -> Output {
    let bundle = bundle.display().to_string();
    triseal([
        "evidence",
        "verify",
        &bundle,
        "--anchor",
        &anchor(site),
        "--organisation",
        "MISP One",
    ])
}

/// The verifier that shares no code with us.
pub fn independently(site: &Site, bundle: &Path) -> Output {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence_verify.py");
    let bundle = bundle.display().to_string();
    let args = [
        program,
        &bundle,
        "--anchor",
        &anchor(site),
        "--organisation",
        "MISP One",
    ];
    run(&interpreter().display().to_string(), args, &[], b"")
}

#[test]
fn the_independent_verifier_has_at_most_200_lines() {
    assert!(
        include_str!("../../docs/evidence_verify.py")
            .lines()
            .count()
            <= 200
    );
}

#[test]
fn an_exchange_is_proven_offline_twice_over_and_still_after_its_bodies_are_erased() {
    let site = site("evidence-whole");
    let answer = exchanged(&site);
    let listed = evidence(&site, &["list", "--partner", "crvs", "--json"]);
    assert!(
        listed.out.contains(answer.correlation_id()),
        "{}",
        listed.all()
    );
    let nobody = evidence(&site, &["list", "--partner", "seeder"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (0, ""));
    let shown = evidence(&site, &["show", answer.correlation_id()]);
    assert!(
        shown.out.contains("\"verdict\": \"answered\""),
        "{}",
        shown.all()
    );

    let bundle = export(&site, &answer, &["--bodies"]);
    let ours = verify(&site, &bundle);
    assert_eq!(ours.code, 0, "{}", ours.all());
    for link in [
        "inclusion",
        "head",
        "signer",
        "revocation",
        "owner",
        "body",
        "receipt",
        "request signature",
    ] {
        let held = ours
            .out
            .lines()
            .any(|l| l.starts_with("holds") && l[10..].starts_with(link));
        assert!(held, "{link}: {}", ours.out);
    }
    let theirs = independently(&site, &bundle);
    assert_eq!(theirs.code, 0, "{}", theirs.all());
    for link in ["inclusion", "head", "body", "receipt", "request signature"] {
        assert!(
            theirs.out.contains(&format!("ok      {link}")),
            "{link}: {}",
            theirs.all()
        );
    }

    let record: Value =
        serde_json::from_str(&evidence(&site, &["show", answer.correlation_id(), "--raw"]).out)
            .unwrap();
    let day = &record["time"].as_str().unwrap()[..10];
    let erased = evidence(&site, &["erase", "--partner", "crvs", "--day", day]);
    assert!(erased.out.contains("destroyed"), "{}", erased.all());
    let bundle = export(&site, &answer, &["--bodies"]);
    assert!(!fs::read_to_string(&bundle).unwrap().contains("\"body\": {"));
    for checked in [verify(&site, &bundle), independently(&site, &bundle)] {
        assert_eq!(checked.code, 0, "{}", checked.all());
    }
    let again = exchanged(&site);
    assert_ne!(again.correlation_id(), answer.correlation_id());
}

#[test]
fn one_flipped_byte_in_each_part_is_found_and_named_by_both_verifiers() {
    let site = site("evidence-flipped");
    let answer = exchanged(&site);
    let bundle = export(&site, &answer, &["--bodies"]);
    let whole: Value = serde_json::from_str(&fs::read_to_string(&bundle).unwrap()).unwrap();
    let changed = site.path("changed.json");
    for (part, named) in [
        ("/record", &["inclusion", "record", "bundle"][..]),
        ("/head", &["head", "inclusion"]),
        ("/certificates/0", &["bundle", "head"]),
        ("/certificates/1", &["bundle", "request signature"]),
        ("/crls/0", &["revocation"]),
        ("/receipt/signature", &["receipt"]),
        ("/receipt/answer", &["receipt"]),
        ("/body/request", &["body"]),
        ("/body/answer", &["body"]),
    ] {
        let mut value = whole.clone();
        let Some(Value::String(text)) = value.pointer_mut(part) else {
            panic!("{part} is not in the bundle");
        };
        // In the middle of the part; another letter of the same alphabet.
        let at = text.len() / 2;
        let with = if text.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        text.replace_range(at..=at, with);
        fs::write(&changed, value.to_string()).unwrap();
        for checked in [verify(&site, &changed), independently(&site, &changed)] {
            let told = checked.all();
            assert_eq!(checked.code, 1, "{part}: {told}");
            let line = told.lines().find(|l| l.contains("BROKEN")).unwrap();
            assert!(
                named.iter().any(|name| line.contains(name)),
                "{part}: {line}"
            );
        }
    }
    let mut value = whole;
    value["index"] = Value::from(7);
    fs::write(&changed, value.to_string()).unwrap();
    assert_eq!(
        (
            verify(&site, &changed).code,
            independently(&site, &changed).code
        ),
        (1, 1)
    );
}

/// GET over the partner face with a party's certificate.
fn fetch(site: &Site, party: &str, path: &str) -> Answer {
    let mut client = site
        .client_of(&site.party(party), "tls")
        .connect(site.partner_face())
        .unwrap();
    client.ask(
        format!(
            "GET {path} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n",
            site.partner_face()
        )
        .as_bytes(),
    )
}

#[test]
fn a_partner_fetches_its_own_records_and_nobody_elses() {
    let site = site("evidence-partner");
    let answer = exchanged(&site);
    let id = answer.correlation_id();
    let own = fetch(&site, "crvs", "/evidence/records?limit=5");
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(
        own.json()["records"][0]["correlationId"],
        id,
        "{}",
        own.text()
    );

    let proof = fetch(&site, "crvs", &format!("/evidence/records/{id}"));
    assert_eq!(proof.status, 200, "{}", proof.text());
    let bundle = site.path("fetched.json");
    fs::write(&bundle, &proof.body).unwrap();
    for checked in [verify(&site, &bundle), independently(&site, &bundle)] {
        assert_eq!(checked.code, 0, "{}", checked.all());
    }

    // The other partner has its own, and gets the same answer for somebody else's as for none at all.
    let other = fetch(&site, "seeder", &format!("/evidence/records/{id}"));
    let unknown = fetch(&site, "seeder", "/evidence/records/no-such-id");
    assert_eq!(
        (other.status, other.code()),
        (404, "EVD-020".to_owned()),
        "{}",
        other.text()
    );
    assert_eq!(
        (unknown.status, unknown.code()),
        (404, "EVD-020".to_owned())
    );
    let list = fetch(&site, "seeder", "/evidence/records");
    assert!(!list.text().contains(id), "{}", list.text());
    assert_eq!(
        fetch(&site, "crvs", "/evidence/records?partner=seeder").code(),
        "EVD-021"
    );
    assert_eq!(
        fetch(&site, "crvs", "/evidence/consistency?from=99999").code(),
        "EVD-020"
    );
}

#[test]
fn a_witness_follows_a_log_that_grows_and_finds_one_that_was_rewritten_or_cut() {
    let mut site = site("evidence-witness");
    exchanged(&site);
    let (state, fetched) = (site.path("witness.json"), site.path("fetched.json"));
    let state = state.display().to_string();
    let anchor = anchor(&site);
    let witness = |site: &Site, more: &[&str]| {
        let mut args = vec![
            "witness",
            "--state",
            &state,
            "--anchor",
            &anchor,
            "--organisation",
            "MISP One",
        ];
        args.extend(more);
        evidence(site, &args)
    };
    let first = witness(&site, &[]);
    assert_eq!(first.code, 0, "{}", first.all());
    exchanged(&site);
    let second = witness(&site, &[]);
    assert!(
        second.code == 0 && second.out.contains("still has all"),
        "{}",
        second.all()
    );

    // From the partner's side, without a folder.
    let known: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    exchanged(&site);
    let path = format!("/evidence/consistency?from={}", known["size"]);
    let proof = fetch(&site, "crvs", &path);
    assert_eq!(proof.status, 200, "{}", proof.text());
    fs::write(&fetched, &proof.body).unwrap();
    let by_fetch = |state: &str| {
        let fetched = fetched.display().to_string();
        triseal([
            "evidence",
            "witness",
            "--state",
            state,
            "--anchor",
            &anchor,
            "--fetched",
            &fetched,
        ])
    };
    let mut other = proof.json();
    other["proof"][0] = Value::from(STANDARD.encode([0; 32]).replace('=', ""));
    fs::write(&fetched, other.to_string()).unwrap();
    let forged = by_fetch(&state);
    assert!(
        forged.code == 1 && forged.all().contains("BROKEN"),
        "{}",
        forged.all()
    );
    fs::write(&fetched, &proof.body).unwrap();
    let third = by_fetch(&state);
    assert_eq!(third.code, 0, "{}", third.all());

    // Somebody changes one byte of an old record.
    site.kill_misp();
    let records = site.path("misp/state/evidence/records/00000000000000000000.jsonl");
    let text = fs::read_to_string(&records).unwrap();
    fs::write(&records, text.replacen("\"answered\"", "\"Answered\"", 1)).unwrap();
    let rewritten = witness(&site, &[]);
    assert!(
        rewritten.code == 1 && rewritten.all().contains("rewritten"),
        "{}",
        rewritten.all()
    );
    // Or puts back an older copy: records, tree and heads.
    fs::write(&records, text).unwrap();
    let heads = site.path("misp/state/evidence/heads.jws");
    let old = fs::read_to_string(&heads).unwrap();
    let first_head = old.lines().next().unwrap();
    fs::write(&heads, format!("{first_head}\n")).unwrap();
    let cut = witness(&site, &[]);
    assert!(
        cut.code == 1 && cut.all().contains("it was cut"),
        "{}",
        cut.all()
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, from its beginning to its end"
)]
fn heads_are_time_stamped_by_openssl_and_the_stamp_is_verified() {
    let mut site = site("evidence-stamped");
    let dir = site.path("tsa");
    fs::create_dir(&dir).unwrap();
    let openssl = |args: &str| {
        let done = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{args}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    fs::write(dir.join("serial"), "01\n").unwrap();
    let section = "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3\ndigests = sha256\ness_cert_id_alg = sha256\n";
    fs::write(dir.join("tsa.cnf"), section).unwrap();
    fs::write(
        dir.join("ext"),
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n",
    )
    .unwrap();
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 9 -subj /O=Time/CN=root",
    );
    openssl("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /O=Time/CN=tsa");
    openssl(
        "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 8 -extfile ext -out tsa.pem",
    );
    let port = free_ports(1);
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/time_stamping.py");
    let args = [
        server.to_owned(),
        port.to_string(),
        dir.display().to_string(),
    ];
    let authority = Process::start(interpreter(), args, &[], &dir, "tsa");
    until("the authority is ready", || {
        authority.out().contains("ready").then_some(())
    });
    site.append(
        "misp/gateway.toml",
        &format!(
            "[[upstream]]\nname = \"tsa\"\naddresses = [\"http://127.0.0.1:{port}\"]\n[[anchor]]\nname = \"tsa\"\ncertificates = [\"../tsa/ca.pem\"]\nrevocation = \"insecure_none\"\n"
        ),
    );
    let keeps = "bodies = \"both\"";
    let stamping =
        "time_stamping = { upstream = \"tsa\", path = \"/tsr\", anchors = [\"tsa\"], every_s = 1 }";
    site.replace("misp/gateway.toml", keeps, &format!("{keeps}\n{stamping}"));
    assert_eq!(
        site.misp().reload(),
        Reloaded::Published,
        "{}",
        site.misp().process().err()
    );
    let answer = exchanged(&site);
    let bundle = until("a head is stamped", || {
        let bundle = export(&site, &answer, &[]);
        fs::read_to_string(&bundle)
            .unwrap()
            .contains("\"timestamp\"")
            .then_some(bundle)
    });
    let path = bundle.display().to_string();
    let ca = dir.join("ca.pem").display().to_string();
    let done = triseal([
        "evidence",
        "verify",
        &path,
        "--anchor",
        &anchor(&site),
        "--tsa-anchor",
        &ca,
    ]);
    assert!(
        done.code == 0 && done.out.contains("the head existed at"),
        "{}",
        done.all()
    );
    // Another authority's anchor is not this one's.
    let wrong = triseal([
        "evidence",
        "verify",
        &path,
        "--anchor",
        &anchor(&site),
        "--tsa-anchor",
        &anchor(&site),
    ]);
    assert!(
        wrong.code == 1 && wrong.all().contains("BROKEN    time stamp"),
        "{}",
        wrong.all()
    );
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/evidence_verify.py");
    let args = [
        program,
        &path,
        "--anchor",
        &anchor(&site),
        "--tsa-anchor",
        &ca,
    ];
    let theirs = run(&interpreter().display().to_string(), args, &[], b"");
    assert!(
        theirs.code == 0 && theirs.out.contains("ok      time stamp"),
        "{}",
        theirs.all()
    );
    assert!(site.misp().metric("triseal_evidence_stamps_total", &[]) >= 1.0);
    assert!(site.misp().metric("triseal_evidence_stamped", &[]) >= 1.0);
    // The authority is gone: exchanges go on, and it is said and counted.
    drop(authority);
    assert!(site.ask(&site.auth()).says_yes());
    until("the failure is counted", || {
        let failed = site
            .misp()
            .metric("triseal_evidence_stamp_failures_total", &[]);
        (failed >= 1.0).then_some(())
    });
    let health = site.misp().healthz().text();
    assert!(health.contains("are not time-stamped"), "{health}");
    assert!(site.misp().says("was not time-stamped"));
    site.kill_misp();
}
