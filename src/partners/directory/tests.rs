//! What only shows between partner files.

use super::*;
use crate::partners::testing::{ANCHORED, NOW, World, certificate, partner};

fn service(id: &str, access: &str) -> String {
    format!("{}kind = \"service\"\n[access]\n{access}\n", partner(id))
}

#[test]
fn every_toml_file_is_a_partner_and_nothing_else_is() {
    let world = World::new();
    world.write("b.toml", &partner("p-2"));
    world.write("a.toml", &partner("p-1"));
    for ignored in [".hidden.toml", "a.toml~", "README.md", "toml", ".toml"] {
        world.write(ignored, "not a partner");
    }
    let directory = world.directory();
    let ids: Vec<&str> = directory.iter().map(|p| p.id().as_str()).collect();
    assert_eq!(ids, ["p-1", "p-2"]);
    assert!(directory.partner("p-1").is_some() && directory.partner("P-1").is_none());
}

#[test]
fn all_mistakes_of_all_files_are_reported_in_the_order_of_names() {
    let world = World::new();
    world.write(
        "a.toml",
        "id = \"p 1\"\norganisation = \"\"\nroutes = [\"ida-aut\"]\n",
    );
    world.write(
        "b.toml",
        "id = \"p-2\"\norganisation = \"B\"\ncolour = \"red\"\n",
    );
    world.write("c.toml", "id = ");
    let (_, mistakes) = world.load();
    let found: Vec<(String, usize, &str)> = (mistakes.0.iter())
        .filter(|m| m.severity == Severity::Error)
        .map(|m| {
            (
                m.file.file_name().unwrap().to_string_lossy().into_owned(),
                m.line,
                m.at.as_str(),
            )
        })
        .collect();
    let name = |n: &str| n.to_owned();
    assert_eq!(
        found[..4],
        [
            (name("a.toml"), 1, "id"),
            (name("a.toml"), 2, "organisation"),
            (name("a.toml"), 3, "routes[0]"),
            (name("b.toml"), 3, "colour"),
        ],
        "{mistakes}"
    );
    assert_eq!(found[4].0, "c.toml");
    assert!(mistakes.to_string().contains("Did you mean `ida-auth`?"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let world = World::new();
    let mut mistakes = Mistakes::default();
    let folder = world.path("none");
    let directory = Directory::load(
        &folder,
        None,
        world.anchors(),
        Known {
            routes: &[],
            policies: &[],
            kind_of: &|_| None,
            beside: &Beside::default(),
        },
        NOW,
        &mut mistakes,
    );
    assert!(mistakes.refuse() && directory.is_empty());
    assert_eq!(mistakes.0[0].file, folder);
}

#[test]
fn two_files_with_one_id_are_refused() {
    let world = World::new();
    world.write("a.toml", &partner("p-1"));
    world.write("b.toml", &partner("p-1"));
    world.refuses("b.toml:1: error: id: another file has the id `p-1` already");
}

#[test]
fn a_certificate_or_key_of_two_partners_is_refused() {
    let world = World::new();
    let key = World::key();
    world.leaf_of("tls-1", "p-1 Ltd", &key);
    world.leaf_of("tls-2", "p-2 Ltd", &key);
    world.write(
        "a.toml",
        &(partner("p-1") + ANCHORED + &certificate("tls", "tls-1")),
    );
    for same in ["tls-1", "tls-2"] {
        world.write(
            "b.toml",
            &(partner("p-2") + ANCHORED + &certificate("tls", same)),
        );
        world.refuses("is also that of `p-1`");
    }
    world.leaf("tls-2", "p-2 Ltd");
    assert_eq!(world.directory().len(), 2);
}

#[test]
fn networks_of_two_services_must_not_overlap() {
    let world = World::new();
    world.write(
        "a.toml",
        &service("s-1", "networks = [\"10.0.0.0/9\", \"10.1.0.0/16\"]"),
    );
    world.write(
        "b.toml",
        &service("s-2", "networks = [\"fd00::/8\", \"10.2.0.0/16\"]"),
    );
    world.refuses("access.networks[1]: `10.2.0.0/16` overlaps `10.0.0.0/9` of `s-1`");
    world.write(
        "b.toml",
        &service("s-2", "networks = [\"fd00::/8\", \"10.128.0.0/9\"]"),
    );
    assert_eq!(world.directory().len(), 2);
}

#[test]
fn one_token_or_licence_key_belongs_to_one() {
    let world = World::new();
    let token = format!(
        "token_hashes = [\"{}\"]",
        World::hash(SecretKind::Token, "t")
    );
    world.write("a.toml", &service("s-1", &token));
    world.write("b.toml", &service("s-2", &token));
    world.refuses("access.token_hashes[0]: `s-1` has the same token");
    let licence = format!(
        "kind = \"misp\"\n[[licence_key]]\nhash = \"{}\"\n",
        World::hash(SecretKind::LicenceKey, "L")
    );
    world.write("a.toml", &(partner("m-1") + &licence));
    world.write("b.toml", &(partner("m-2") + &licence));
    world.refuses("licence_key[0].hash: `m-1` has the same licence key");
}

#[test]
fn a_symbolic_link_to_a_partner_file_is_followed_and_a_broken_one_is_an_error() {
    let world = World::new();
    world.write("real", &partner("p-1"));
    std::os::unix::fs::symlink(world.path("real"), world.path("a.toml")).unwrap();
    assert_eq!(world.directory().len(), 1);
    std::os::unix::fs::symlink(world.path("none"), world.path("b.toml")).unwrap();
    world.refuses("b.toml:0: error: cannot be read");
}
