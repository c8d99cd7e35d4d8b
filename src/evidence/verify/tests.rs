//! Bundles made by hand, whole and with one thing wrong.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::json;

use super::super::{
    bundle::{BodyPart, FORMAT, ReceiptPart},
    testing::{Authority, SIGNER, TSA},
    timestamp::Request,
};
use super::{parts::SALT, *};
use crate::{clock::Clock, config::Algorithm, keys::SigningKey};

struct Case {
    authority: Authority,
    bundle: Bundle,
    tree: [Hash; 3],
}

const REQUEST: &[u8] = b"{\"request\":\"sealed\"}";
const ANSWER: &[u8] = b"{\"answer\":\"yes\"}";

fn jws(key: &SigningKey, header: &Value, payload: &[u8], detached: bool) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let body = URL_SAFE_NO_PAD.encode(payload);
    let signature = key
        .sign(Algorithm::RS256, format!("{header}.{body}").as_bytes())
        .unwrap();
    let shown = if detached { "" } else { &body };
    format!("{header}.{shown}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn name_of(certificate: &Certificate) -> String {
    URL_SAFE_NO_PAD.encode(certificate.fingerprint().as_bytes())
}

fn head(key: &SigningKey, certificate: &Certificate, size: u64, root: &Hash, at: Moment) -> String {
    let header = json!({"alg": "RS256", "x5t#S256": name_of(certificate), "typ": HEAD_TYPE});
    let payload =
        json!({"log": "misp/00ff", "size": size, "root": bundle::shown(root), "time": shown(at)});
    jws(key, &header, payload.to_string().as_bytes(), false)
}

/// A record that is the second of three, with everything that can prove it.
fn case() -> Case {
    let authority = Authority::new();
    let gateway = authority.issue("misp", "MISP", SIGNER, "rsa:2048");
    let partner = authority.issue("crvs", "Registry", SIGNER, "rsa:2048");
    authority.issue("tsa", "Time", TSA, "rsa:2048");
    let now = Clock::system().now().plus_ms(60_000);
    let salted = |body: &[u8]| [&[9; SALT], body].concat();
    let digest = |bytes: &[u8]| bundle::shown(&sha256(bytes));
    let signature = jws(
        &authority.key("crvs"),
        &json!({"alg": "RS256"}),
        REQUEST,
        true,
    );
    let kept = |body: &[u8]| json!({"sealedDigest": "x", "plainDigest": digest(&salted(body))});
    let record = json!({
        "v": 1, "time": shown(now), "gateway": "misp", "correlationId": "c-1", "method": "POST", "route": "ida-auth",
        "caller": {"id": "crvs"}, "signer": partner.fingerprint().to_string(),
        "request": {"bodyDigest": digest(REQUEST), "signature": signature},
        "verdict": "answered", "answer": {"status": 200, "bodyDigest": digest(ANSWER)},
        "body": {"request": kept(REQUEST), "answer": kept(ANSWER)},
    })
    .to_string();
    let leaf = merkle::leaf_hash(record.as_bytes());
    let tree = [merkle::leaf_hash(b"a"), leaf, merkle::leaf_hash(b"c")];
    let root = merkle::node_hash(&merkle::node_hash(&tree[0], &tree[1]), &tree[2]);
    let head = head(&authority.key("misp"), &gateway, 3, &root, now);
    let request = Request::new(sha256(head.as_bytes())).unwrap();
    let stamp = request
        .read_reply(&authority.reply(&request.to_der(), "tsa", "one"))
        .unwrap();
    let header =
        json!({"x5t#S256": name_of(&gateway), "alg": "RS256", "leaf": bundle::shown(&leaf)});
    let bundle = Bundle {
        format: FORMAT.to_owned(),
        record,
        index: 1,
        inclusion: vec![bundle::shown(&tree[0]), bundle::shown(&tree[2])],
        head,
        certificates: vec![
            STANDARD.encode(gateway.der()),
            STANDARD.encode(partner.der()),
        ],
        crls: Vec::new(),
        timestamp: Some(STANDARD.encode(stamp.token())),
        receipt: Some(ReceiptPart {
            signature: jws(&authority.key("misp"), &header, ANSWER, true),
            answer: Some(STANDARD.encode(ANSWER)),
        }),
        body: Some(BodyPart {
            request: Some(STANDARD.encode(salted(REQUEST))),
            answer: Some(STANDARD.encode(salted(ANSWER))),
        }),
    };
    Case {
        authority,
        bundle,
        tree,
    }
}

impl Case {
    fn verify(&self, text: &[u8]) -> Vec<Link> {
        self.verify_for(text, Some("MISP"))
    }

    fn verify_for(&self, text: &[u8], organisation: Option<&str>) -> Vec<Link> {
        let belief = Belief {
            anchor: self.authority.anchor(),
            authority: Some(self.authority.anchor()),
            organisation: organisation.map(str::to_owned),
        };
        verify(text, belief)
    }

    fn broken(&self, bundle: &Bundle) -> (&'static str, String) {
        let links = self.verify(bundle.to_text().as_bytes());
        let last = links.last().unwrap();
        assert_eq!(last.outcome, Outcome::Broken, "{links:#?}");
        assert!(
            links
                .iter()
                .rev()
                .skip(1)
                .all(|l| l.outcome != Outcome::Broken)
        );
        (last.name, last.words.clone())
    }

    fn with(&self, change: impl FnOnce(&mut Bundle)) -> (&'static str, String) {
        let mut bundle = self.bundle.clone();
        change(&mut bundle);
        self.broken(&bundle)
    }
}

fn flip(text: &mut String) {
    let at = text.len() / 2;
    let with = if text.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    text.replace_range(at..=at, with);
}

#[test]
fn a_whole_bundle_holds_link_by_link_and_so_does_one_without_its_bodies() {
    let case = case();
    let links = case.verify(case.bundle.to_text().as_bytes());
    let names: Vec<&str> = links
        .iter()
        .filter(|l| l.outcome == Outcome::Holds)
        .map(|l| l.name)
        .collect();
    let all = [
        "record",
        "inclusion",
        "head",
        "signer",
        "owner",
        "order",
        "time stamp",
        "body",
        "body",
        "receipt",
        "request signature",
    ];
    assert_eq!(names, all, "{links:#?}");
    let mut erased = case.bundle.clone();
    erased.body = None;
    let links = case.verify(erased.to_text().as_bytes());
    assert!(
        links.iter().all(|l| l.outcome != Outcome::Broken),
        "{links:#?}"
    );
    assert!(
        links
            .iter()
            .any(|l| l.name == "body" && l.outcome == Outcome::Unproven)
    );
}

#[test]
fn a_flipped_byte_in_each_part_is_found_and_named() {
    let case = case();
    assert_eq!(case.with(|b| flip(&mut b.record)).0, "inclusion");
    assert_eq!(case.with(|b| b.index = 0).0, "inclusion");
    assert_eq!(case.with(|b| flip(&mut b.inclusion[1])).0, "inclusion");
    assert!(matches!(
        case.with(|b| flip(&mut b.head)).0,
        "head" | "inclusion"
    ));
    assert_eq!(case.with(|b| flip(&mut b.certificates[0])).0, "bundle");
    assert_eq!(case.with(|b| flip(&mut b.certificates[1])).0, "bundle");
    assert_eq!(
        case.with(|b| b.crls.push(STANDARD.encode(b"no list"))).0,
        "revocation"
    );
    assert_eq!(
        case.with(|b| flip(b.timestamp.as_mut().unwrap())).0,
        "time stamp"
    );
    assert_eq!(
        case.with(|b| flip(b.receipt.as_mut().unwrap().answer.as_mut().unwrap()))
            .0,
        "receipt"
    );
    assert_eq!(
        case.with(|b| flip(&mut b.receipt.as_mut().unwrap().signature))
            .0,
        "receipt"
    );
    assert_eq!(
        case.with(|b| flip(b.body.as_mut().unwrap().request.as_mut().unwrap()))
            .0,
        "body"
    );
    assert_eq!(
        case.with(|b| flip(b.body.as_mut().unwrap().answer.as_mut().unwrap()))
            .0,
        "body"
    );
    assert_eq!(case.with(|b| b.format.push('0')).0, "bundle");
}

#[test]
fn any_flipped_byte_of_the_file_is_found() {
    let mut case = case();
    // CMS leaves a few octets of a stamp unsigned; they say nothing (see the tests of stamps).
    case.bundle.timestamp = None;
    let text = case.bundle.to_text().into_bytes();
    for at in (0..text.len().saturating_sub(1)).step_by(3) {
        let mut changed = text.clone();
        changed[at] ^= 1;
        let links = case.verify(&changed);
        let broken = links.last().is_some_and(|l| l.outcome == Outcome::Broken);
        assert!(
            broken,
            "{at}: {}",
            String::from_utf8_lossy(&text[at.saturating_sub(20)..at + 1])
        );
    }
}

#[test]
fn a_head_that_a_partner_signed_is_not_the_gateways() {
    let case = case();
    let partner =
        Certificate::from_der(STANDARD.decode(&case.bundle.certificates[1]).unwrap()).unwrap();
    let own = Head::read(&case.bundle.head).unwrap();
    let forged = head(
        &case.authority.key("crvs"),
        &partner,
        3,
        &own.root,
        own.time,
    );
    let mut bundle = case.bundle.clone();
    bundle.head = forged;
    bundle.timestamp = None;
    bundle.receipt = None;
    bundle.certificates.remove(0);
    assert_eq!(case.broken(&bundle).0, "signer");
    // Who does not say whose log it must be is told that this is open.
    let links = case.verify_for(bundle.to_text().as_bytes(), None);
    assert!(
        links
            .iter()
            .any(|l| l.name == "owner" && l.outcome == Outcome::Unproven)
    );
}

#[test]
fn what_does_not_belong_together_is_found() {
    let case = case();
    let own = Head::read(&case.bundle.head).unwrap();
    let gateway =
        Certificate::from_der(STANDARD.decode(&case.bundle.certificates[0]).unwrap()).unwrap();
    let key = case.authority.key("misp");
    let with_head = |text: String| {
        case.with(|b| {
            b.head = text;
            b.timestamp = None;
        })
    };
    // Signed before the record was made.
    let early = head(&key, &gateway, 3, &own.root, own.time.plus_ms(-1));
    assert_eq!(with_head(early).0, "order");
    // A year later the signer's certificate is over.
    let late = head(
        &key,
        &gateway,
        3,
        &own.root,
        own.time.plus_ms(366 * 86_400_000),
    );
    assert_eq!(with_head(late).0, "signer");
    // A size whose tree is not so deep.
    assert_eq!(
        with_head(head(&key, &gateway, 2, &own.root, own.time)).0,
        "inclusion"
    );
    // A receipt of another record.
    let header = json!({"x5t#S256": name_of(&gateway), "alg": "RS256", "leaf": bundle::shown(&case.tree[0])});
    let other = jws(&key, &header, ANSWER, true);
    assert_eq!(
        case.with(|b| b.receipt.as_mut().unwrap().signature = other)
            .0,
        "receipt"
    );
    // A certificate that has nothing to do with it.
    let stranger = case.authority.issue("stranger", "S", SIGNER, "rsa:2048");
    assert_eq!(
        case.with(|b| b.certificates.push(STANDARD.encode(stranger.der())))
            .0,
        "bundle"
    );
    // A gateway's certificate below another root.
    let mut elsewhere = self::case();
    elsewhere.bundle = case.bundle.clone();
    assert_eq!(elsewhere.broken(&case.bundle).0, "signer");
}
