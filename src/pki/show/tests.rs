//! What `show` says of right and wrong files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::*;
use crate::pki::{
    Algorithm, Algorithms, AuthorityName, Made, Overwrite, Plan, ROLES, authority_paths, list_path,
    make,
};

const NOW: Moment = Moment::from_s(1_800_000_000);

struct Folder {
    dir: tempfile::TempDir,
    made: Made,
}

impl Folder {
    fn new() -> Self {
        let mut plan = Plan::standard(NOW);
        plan.authority_algorithm = Algorithm::P256;
        for party in &mut plan.parties {
            party.algorithms = Algorithms {
                tls: Algorithm::P256,
                encryption: Algorithm::P256,
                signature: Algorithm::P256,
            };
        }
        plan.parties.truncate(3);
        let dir = tempfile::tempdir().unwrap();
        let made = make(&plan, dir.path(), Overwrite::Refuse).unwrap();
        Self { dir, made }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn show(&self, names: &[&str]) -> Vec<FileShown> {
        self.show_at(names, NOW)
    }

    fn show_at(&self, names: &[&str], now: Moment) -> Vec<FileShown> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        show(&paths, None, now).unwrap()
    }

    /// What is wrong with the first file, when the others stand beside it.
    fn wrongs(&self, names: &[&str]) -> Vec<String> {
        wrongs(&self.show(names)[0])
    }
}

fn wrongs(file: &FileShown) -> Vec<String> {
    file.findings
        .iter()
        .chain(file.items.iter().flat_map(|item| &item.findings))
        .filter(|finding| finding.severity == Severity::Wrong)
        .map(|finding| finding.text.clone())
        .collect()
}

fn first_certificate(file: &FileShown) -> &CertificateShown {
    match &file.items[0].what {
        What::Certificate(certificate) => certificate,
        other => panic!("{other:?}"),
    }
}

fn fits(file: &FileShown) -> Vec<&'static str> {
    let roles = &first_certificate(file).roles;
    roles
        .iter()
        .filter(|role| role.fits)
        .map(|role| role.role)
        .collect()
}

#[test]
fn nothing_is_wrong_with_the_files_of_a_right_party() {
    let folder = Folder::new();
    for party in ["mosip", "misp", "crvs"] {
        for role in ["tls", "encryption", "signature"] {
            let (chain, key) = (
                format!("parties/{party}/{role}.pem"),
                format!("parties/{party}/{role}.key.pem"),
            );
            let files = folder.show(&[
                &chain,
                &key,
                "ca/root.pem",
                "crl/tls.crl.pem",
                "crl/partner.crl.pem",
                "crl/mosip.crl.pem",
                "crl/root.crl.pem",
            ]);
            for file in &files {
                assert_eq!(wrongs(file), [""; 0], "{}", file.file);
            }
            assert!(fits(&files[0]).contains(&role), "{party} {role}");
        }
    }
    for name in [
        "anchors/tls.pem",
        "anchors/partner.pem",
        "anchors/mosip.pem",
    ] {
        assert_eq!(folder.wrongs(&[name]), [""; 0]);
    }
}

#[test]
fn a_resigned_leaf_fits_signature_and_encryption_but_not_tls() {
    let folder = Folder::new();
    let files = folder.show(&["parties/misp/signature.pem", "parties/misp/tls.pem"]);
    assert_eq!(fits(&files[0]), ["encryption", "signature"]);
    let notes: Vec<&str> = files[0].items[0]
        .findings
        .iter()
        .map(|finding| finding.text.as_str())
        .collect();
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("negative serial number"))
    );
    assert!(notes.iter().any(|note| {
        note.starts_with("CA:TRUE leaf without extended key usage: cannot serve for TLS; fine for")
    }));
    assert_eq!(fits(&files[1]), ["tls"]);
    assert_eq!(
        first_certificate(&files[0]).organisation.as_deref(),
        Some("MISP One")
    );
    assert!(first_certificate(&files[0]).serial.starts_with('-'));
}

#[test]
fn each_twin_that_a_certificate_gives_away_is_named_for_what_it_is() {
    let folder = Folder::new();
    for role in ["tls", "encryption", "signature"] {
        let ca = if role == "tls" { "tls" } else { "partner" };
        let (anchor, list) = (format!("anchors/{ca}.pem"), format!("crl/{ca}.crl.pem"));
        let twin = |kind: &str| {
            folder.wrongs(&[
                &format!("twins/{kind}/{role}.pem"),
                "ca/root.pem",
                &anchor,
                &list,
            ])
        };
        assert_eq!(twin("expired"), ["expired 1 second ago"]);
        assert_eq!(twin("revoked"), ["revoked since 2027-01-15T07:00:00Z"]);
        assert_eq!(twin("not-yet-valid").len(), 1);
        assert!(twin("not-yet-valid")[0].starts_with("not valid for another 364 days"));
        let swapped = folder.show(&[&format!("twins/role-swapped/{role}.pem")]);
        assert!(!fits(&swapped[0]).contains(&role), "{role}");
    }
    let other = folder.show(&["twins/other-root/signature.pem", "anchors/partner.pem"]);
    // Its chain brings its own issuing CA, which the right root did not sign.
    assert_eq!(
        wrongs(&other[0]),
        ["its signature does not verify with the key of O=MOSIP, CN=MOSIP ROOT"]
    );
}

#[test]
fn a_revoked_certificate_is_not_wrong_when_no_list_says_so() {
    let folder = Folder::new();
    assert_eq!(folder.wrongs(&["twins/revoked/signature.pem"]), [""; 0]);
    // A list of the same name by another key says nothing.
    assert_eq!(
        folder.wrongs(&[
            "twins/revoked/signature.pem",
            "twins/other-root/crl/partner.crl.pem",
            "anchors/partner.pem"
        ]),
        [""; 0]
    );
}

#[test]
fn the_last_second_is_the_last() {
    let folder = Folder::new();
    let built = &folder.made.built.parties[1];
    let end = crate::pki::authority::read_certificate(&built.tls.certificate_der)
        .unwrap()
        .validity()
        .not_after
        .timestamp();
    let at = |s| wrongs(&folder.show_at(&["parties/misp/tls.pem"], Moment::from_s(s))[0]);
    assert_eq!(at(end), [""; 0]);
    assert_eq!(at(end + 1), ["expired 1 second ago"]);
}

#[test]
fn a_list_is_stale_a_second_after_the_next_one_was_due() {
    let folder = Folder::new();
    let due = NOW.s() - 3_600 + 30 * 86_400;
    let at = |s| {
        wrongs(
            &folder.show_at(
                &["crl/partner.crl.pem", "ca/partner.pem"],
                Moment::from_s(s),
            )[0],
        )
    };
    assert_eq!(at(due), [""; 0]);
    assert_eq!(at(due + 1), ["stale: a new list was due 1 second ago"]);
    assert_eq!(
        folder.wrongs(&[
            "crl/partner.crl.pem",
            "twins/other-root/anchors/partner.pem"
        ]),
        ["its signature does not verify with the key of O=MOSIP, CN=MOSIP PMS"]
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_told() {
    let folder = Folder::new();
    let leaf = fs::read(folder.path("parties/misp/tls.pem")).unwrap();
    let root = fs::read(folder.path("ca/root.pem")).unwrap();
    fs::write(
        folder.path("gap.pem"),
        [leaf.clone(), leaf.clone()].concat(),
    )
    .unwrap();
    assert_eq!(
        folder.wrongs(&["gap.pem"]),
        [
            "certificate 3 did not issue certificate 2: a chain is the leaf, then its issuers in order"
        ]
    );
    fs::write(folder.path("whole.pem"), [leaf, root].concat()).unwrap();
    assert_eq!(folder.wrongs(&["whole.pem"]), [""; 0]);
}

#[test]
fn a_private_key_is_never_shown_and_says_whose_it_is() {
    let folder = Folder::new();
    let party = &folder.made.built.parties[1];
    let stores: Vec<PathBuf> = ROLES
        .iter()
        .map(|role| folder.path(&format!("parties/misp/{}.p12", role.as_str())))
        .collect();
    let mut shown = show(&stores, Some(party.password.expose()), NOW).unwrap();
    shown.extend(folder.show(&[
        "parties/misp/signature.key.pem",
        "parties/misp/signature.pem",
    ]));
    let json = serde_json::to_string(&shown).unwrap();
    let debug = format!("{shown:?}");
    for role in ROLES {
        let pem = party.issued(role).key_pem();
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!json.contains(line) && !debug.contains(line));
        }
    }
    assert!(!json.contains(party.password.expose()));
    assert!(json.contains(r#""belongs_to":["O=MISP One, CN=misp-signature"]"#));
    assert_eq!(shown.iter().flat_map(wrongs).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_key_store_without_its_password_is_locked() {
    let folder = Folder::new();
    let path = [folder.path("parties/misp/tls.p12")];
    for password in [None, Some("wrong")] {
        let shown = show(&path, password, NOW).unwrap();
        assert_eq!(shown[0].form, Form::Pkcs12);
        assert!(matches!(shown[0].items[0].what, What::Locked));
        assert!(shown[0].is_wrong());
    }
}

#[test]
fn a_key_that_others_can_read_is_wrong() {
    let folder = Folder::new();
    let [_, key] = authority_paths(folder.dir.path(), AuthorityName::Tls);
    let shown = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        wrongs(&show(&[&key], None, NOW).unwrap()[0])
    };
    assert_eq!(shown(0o600), [""; 0]);
    assert_eq!(shown(0o640).len(), 1);
}

#[test]
fn der_is_read_like_pem_and_rubbish_is_named() {
    let folder = Folder::new();
    let party = &folder.made.built.parties[1];
    fs::write(folder.path("tls.der"), &party.tls.certificate_der).unwrap();
    fs::write(folder.path("list.der"), &folder.made.built.lists[1].1).unwrap();
    fs::write(folder.path("key.der"), party.tls.key_pkcs8_der()).unwrap();
    fs::set_permissions(folder.path("key.der"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.path("rubbish"), "hello").unwrap();
    let mut cut = party.tls.certificate_der.clone();
    cut.pop();
    fs::write(folder.path("cut.der"), cut).unwrap();
    let shown = folder.show(&["tls.der", "list.der", "key.der", "rubbish", "cut.der"]);
    assert!(matches!(shown[0].items[0].what, What::Certificate(_)) && shown[0].form == Form::Der);
    assert!(matches!(shown[1].items[0].what, What::RevocationList(_)));
    assert!(matches!(shown[2].items[0].what, What::PrivateKey(_)));
    assert!(matches!(shown[3].items[0].what, What::Unknown { .. }) && shown[3].is_wrong());
    assert!(matches!(shown[4].items[0].what, What::Unknown { .. }) && shown[4].is_wrong());
    assert!(show(&[Path::new("/no/such/file")], None, NOW).is_err());
    assert!(list_path(folder.dir.path(), AuthorityName::Tls).exists());
}
