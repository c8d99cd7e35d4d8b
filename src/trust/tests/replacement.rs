//! A certificate in place of another: near misses of what is taken, and what becomes of the old one.

use super::*;
use crate::trust::replacement::{Candidate, Replacement, Unfit};

const HOUR_MS: i64 = 3_600_000;

fn candidate(role: Role, der: Vec<u8>) -> Candidate {
    Candidate {
        certificates: vec![Certificate::from_der(der).unwrap()],
        role,
        algorithm: None,
        valid_from: NOW,
        overlap_ms: HOUR_MS,
        live_max: 2,
        same_key: false,
    }
}

/// A party with one signature and one TLS certificate.
struct Scene {
    ca: Ca,
    anchors: Anchors,
    party: PartyCertificates,
    old: Leaf,
    tls: Leaf,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("root");
        let mut world = World::of(&ca);
        let anchors = world.anchors();
        let (old, tls) = (Leaf::signature(), Leaf::tls());
        let (signature, of_tls) = (ca.issue(&old), ca.issue(&tls));
        let all: [(Role, &[u8]); 2] = [(Role::Signature, &signature), (Role::Tls, &of_tls)];
        let (party, mistakes) = world.party(&anchors, "a", &all, |_, _| {}, false);
        assert!(!mistakes.refuse(), "{mistakes}");
        Self {
            ca,
            anchors,
            party,
            old,
            tls,
        }
    }

    fn fit(&self, candidate: Candidate) -> Result<Replacement, Unfit> {
        self.party.fit(candidate, &self.anchors, NOW)
    }

    fn of(&self, change: impl FnOnce(&mut Leaf)) -> Result<Replacement, Unfit> {
        let mut leaf = Leaf::signature();
        change(&mut leaf);
        self.fit(candidate(Role::Signature, self.ca.issue(&leaf)))
    }

    fn replace(&mut self, replacement: Replacement) -> Result<(), Unfit> {
        let names = vec!["a".to_owned()];
        self.party.replace(replacement, &names, &self.anchors)
    }
}

fn again(leaf: &Leaf, like: Leaf) -> Leaf {
    Leaf {
        key: rcgen::KeyPair::try_from(leaf.key.serialized_der()).unwrap(),
        serial: vec![9],
        ..like
    }
}

#[test]
fn a_new_certificate_holds_beside_the_old_one_until_the_overlap_ends() {
    let mut scene = Scene::new();
    let taken = scene.of(|_| {}).unwrap();
    let (old, new) = (
        scene.party.bindings()[0].fingerprint(),
        taken.leaf().unwrap().fingerprint(),
    );
    assert_eq!(taken.replaces, [old]);
    scene.replace(taken).unwrap();
    let usable = |at| -> Vec<Fingerprint> {
        let all = scene.party.usable(Role::Signature, &scene.anchors, at);
        all.map(Binding::fingerprint).collect()
    };
    assert_eq!(usable(NOW), [new, old], "the newest first");
    assert_eq!(usable(at(3600)), [new, old]);
    assert_eq!(usable(at(3601)), [new]);
    // The other role is as it was.
    assert_eq!(scene.party.bindings()[1].valid_until(), at(365 * 86_400));
}

#[test]
fn until_its_time_has_come_the_old_one_is_alone() {
    let mut scene = Scene::new();
    let leaf = scene.ca.issue(&Leaf::signature());
    let later = Candidate {
        valid_from: at(600),
        ..candidate(Role::Signature, leaf)
    };
    let taken = scene.fit(later).unwrap();
    assert_eq!(taken.overlap_until, at(600 + 3600));
    scene.replace(taken).unwrap();
    let usable = |at| {
        scene
            .party
            .usable(Role::Signature, &scene.anchors, at)
            .count()
    };
    assert_eq!(
        (usable(at(599)), usable(at(600)), usable(at(4201))),
        (1, 2, 1)
    );
}

#[test]
fn each_near_miss_is_told_by_its_cause() {
    let scene = Scene::new();
    assert!(scene.of(|_| {}).is_ok());
    let organisation = scene.of(|leaf| leaf.organisation = Some("Example registry".to_owned()));
    assert!(matches!(
        organisation,
        Err(Unfit::Unusable(Unusable::Organisation { .. }))
    ));
    let usage = scene.of(|leaf| leaf.usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert!(matches!(usage, Err(Unfit::Unusable(Unusable::Usage(_)))));
    let early = scene.of(|leaf| leaf.from_s = 1);
    assert!(matches!(early, Err(Unfit::Unusable(Unusable::NotYet(_)))));
    let late = scene.of(|leaf| leaf.until_s = -1);
    assert!(matches!(late, Err(Unfit::Unusable(Unusable::Expired(_)))));
    assert!(scene.of(|leaf| leaf.until_s = 0).is_ok(), "its last second");
    let small = scene.of(|leaf| leaf.spki = Some(rsa_spki(1024)));
    assert!(
        matches!(
            small,
            Err(Unfit::Unusable(Unusable::KeySize(_)) | Unfit::Algorithm)
        ),
        "{small:?}"
    );
    let other = Ca::root("root").issue(&Leaf::signature());
    let stranger = scene.fit(candidate(Role::Signature, other));
    assert!(matches!(
        stranger,
        Err(Unfit::Unusable(
            Unusable::NoPath(_) | Unusable::UnknownIssuer(_)
        ))
    ));
    let nothing = scene.fit(candidate(
        Role::Encryption,
        scene.ca.issue(&Leaf::encryption()),
    ));
    assert_eq!(nothing.unwrap_err(), Unfit::Nothing);
    let ends = Candidate {
        valid_from: at(365 * 86_400 + 1),
        ..candidate(Role::Signature, scene.ca.issue(&Leaf::signature()))
    };
    assert_eq!(scene.fit(ends).unwrap_err(), Unfit::Ended);
    let algorithm = Candidate {
        algorithm: Some(Algorithm::EdDSA),
        ..candidate(Role::Signature, scene.ca.issue(&Leaf::signature()))
    };
    assert_eq!(scene.fit(algorithm).unwrap_err(), Unfit::Algorithm);
    let none = Candidate {
        certificates: Vec::new(),
        ..candidate(Role::Signature, scene.ca.issue(&Leaf::signature()))
    };
    assert_eq!(scene.fit(none).unwrap_err(), Unfit::Chain(0));
}

#[test]
fn a_key_that_is_bound_already_is_not_taken() {
    let scene = Scene::new();
    let known = scene.ca.issue(&scene.old);
    let mine = scene.party.bindings()[0].certificate().der().to_vec();
    let twice = scene.fit(candidate(Role::Signature, mine));
    assert_eq!(twice.unwrap_err(), Unfit::Known(Role::Signature));
    let same = scene.fit(candidate(Role::Signature, known.clone()));
    assert!(matches!(
        same,
        Err(Unfit::Key(Role::Signature) | Unfit::Known(Role::Signature))
    ));
    // The key of another role, whatever is allowed.
    let of_tls = scene.ca.issue(&again(&scene.tls, Leaf::signature()));
    let allowed = Candidate {
        same_key: true,
        ..candidate(Role::Signature, of_tls)
    };
    assert_eq!(scene.fit(allowed).unwrap_err(), Unfit::Key(Role::Tls));
    // Its own, where that is allowed.
    let own = scene.ca.issue(&again(&scene.old, Leaf::signature()));
    let renewed = Candidate {
        same_key: true,
        ..candidate(Role::Signature, own)
    };
    assert!(scene.fit(renewed).is_ok());
}

#[test]
fn no_more_than_so_many_hold_or_wait_at_once() {
    let mut scene = Scene::new();
    let taken = scene.of(|_| {}).unwrap();
    scene.replace(taken).unwrap();
    assert_eq!(scene.of(|_| {}).unwrap_err(), Unfit::TooMany(2));
}

#[test]
fn what_is_read_back_changes_nothing_when_it_does_not_fit() {
    let mut scene = Scene::new();
    let before = scene.party.bindings()[0].valid_until();
    let mut taken = scene.of(|_| {}).unwrap();
    // Meanwhile its key stands in the file in another role.
    let twin = scene.ca.issue(&again(&scene.tls, Leaf::signature()));
    taken.certificates = vec![Certificate::from_der(twin).unwrap()];
    assert_eq!(scene.replace(taken).unwrap_err(), Unfit::Key(Role::Tls));
    assert_eq!(scene.party.bindings().len(), 2);
    assert_eq!(scene.party.bindings()[0].valid_until(), before);
}

#[test]
fn what_the_file_names_by_now_is_bound_once_and_still_ends_the_old_one() {
    let mut scene = Scene::new();
    let leaf = scene.ca.issue(&Leaf::signature());
    let taken = scene.fit(candidate(Role::Signature, leaf.clone())).unwrap();
    scene.replace(taken).unwrap();
    let mut again = scene
        .party
        .fit(
            candidate(Role::Signature, scene.ca.issue(&Leaf::signature())),
            &scene.anchors,
            at(7200),
        )
        .unwrap();
    again.certificates = vec![Certificate::from_der(leaf).unwrap()];
    let bindings = scene.party.bindings().len();
    scene.replace(again).unwrap();
    assert_eq!(scene.party.bindings().len(), bindings);
}
