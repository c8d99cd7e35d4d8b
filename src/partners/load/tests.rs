//! The mistakes of one partner file.

use crate::partners::{
    SecretKind,
    testing::{World, partner},
};

fn refused(text: &str, part: &str) {
    let world = World::new();
    world.write("a.toml", text);
    world.refuses(part);
}

fn api_key(hash: &str) -> String {
    format!("[[api_key]]\nhash = \"{hash}\"\npolicy = \"auth\"\n")
}

#[test]
fn names_that_nothing_has_are_refused_with_what_was_meant() {
    let p = partner("p-1");
    let hash = World::hash(SecretKind::ApiKey, "1");
    refused(
        &format!("{p}routes = [\"ida-auth\", \"ida-kcy\"]"),
        "routes[1]: there is no route `ida-kcy`. Did you mean `ida-kyc`?",
    );
    refused(
        &format!("{p}routes = [\"ida-auth\", \"ida-auth\"]"),
        "routes[1]: `ida-auth` is listed twice",
    );
    refused(
        &(p.clone() + &api_key(&hash).replace("\"auth\"", "\"aut\"")),
        "api_key[0].policy: there is no policy `aut`. Did you mean",
    );
    refused(
        &format!("{p}[anchors]\ntls = [\"cb\"]"),
        "anchors.tls[0]: there is no anchor `cb`",
    );
}

#[test]
fn a_secret_in_the_clear_is_refused_and_not_repeated() {
    let world = World::new();
    world.write("a.toml", &(partner("p-1") + &api_key("424242")));
    let (_, mistakes) = world.load();
    assert!(
        mistakes.refuse() && !mistakes.to_string().contains("424242"),
        "{mistakes}"
    );
}

#[test]
fn hashes_without_a_pepper_are_refused_once_for_each_file() {
    let world = World::new();
    let keys = api_key(&World::hash(SecretKind::ApiKey, "1"))
        + &api_key(&World::hash(SecretKind::ApiKey, "2"));
    world.write("a.toml", &(partner("p-1") + &keys));
    let (_, mistakes) = world.load_with(None);
    assert_eq!(mistakes.errors(), 1, "{mistakes}");
    assert!(
        mistakes
            .to_string()
            .contains("a.toml:4: error: api_key[0].hash"),
        "{mistakes}"
    );
    let short = crate::keys::Secret::new(b"short".to_vec());
    let (_, mistakes) = world.load_with(Some(&short));
    assert!(
        mistakes.to_string().contains("the pepper has 5 bytes"),
        "{mistakes}"
    );
    world.write("a.toml", &partner("p-1"));
    assert!(
        !world.load_with(None).1.refuse(),
        "without hashes no pepper is needed"
    );
}

#[test]
fn one_partner_has_each_key_once_and_sixty_four_at_most() {
    let p = partner("p-1");
    let one = api_key(&World::hash(SecretKind::ApiKey, "1"));
    refused(
        &(p.clone() + &one + &one),
        "api_key[1].hash: the same secret stands here twice",
    );
    let many = |n: usize| {
        (0..n)
            .map(|i| api_key(&World::hash(SecretKind::ApiKey, &i.to_string())))
            .collect::<String>()
    };
    refused(
        &(p.clone() + &many(65)),
        "api_key: 65 entries are more than the 64",
    );
    let world = World::new();
    world.write("a.toml", &(p + &many(64)));
    assert_eq!(
        world.directory().partner("p-1").unwrap().api_keys().len(),
        64
    );
}

#[test]
fn only_a_misp_holds_licence_keys() {
    let licence = format!(
        "[[licence_key]]\nhash = \"{}\"\n",
        World::hash(SecretKind::LicenceKey, "L")
    );
    refused(
        &(partner("p-1") + &licence),
        "only a MISP holds licence keys",
    );
}

#[test]
fn only_a_service_has_access_and_every_service_has_some() {
    let p = partner("p-1");
    refused(
        &format!("{p}[access]\nnetworks = [\"10.0.0.0/8\"]"),
        "only a service is known this way",
    );
    let s = format!("{p}kind = \"service\"\n");
    refused(&s, "nothing says how this service is known");
    refused(&format!("{s}[access]\n"), "access: admits nobody");
    refused(
        &format!("{s}[access]\ncertificate = true"),
        "no certificate of role tls",
    );
    refused(
        &format!("{s}[access]\nnetworks = [\"10.0.0.1/8\"]"),
        "access.networks[0]: the address is not the network's first one, which is `10.0.0.0/8`",
    );
    refused(
        &format!("{s}[access]\ntoken_hashes = [\"secret\"]"),
        "Make it with `triseal partners hash`",
    );
}

#[test]
fn a_network_of_everybody_is_pointed_out() {
    let world = World::new();
    world.write(
        "a.toml",
        &format!(
            "{}kind = \"service\"\n[access]\nnetworks = [\"0.0.0.0/0\"]",
            partner("s")
        ),
    );
    let (_, mistakes) = world.load();
    assert!(
        !mistakes.refuse() && mistakes.to_string().contains("admits every address"),
        "{mistakes}"
    );
}

#[test]
fn a_partner_that_can_do_nothing_is_pointed_out_and_not_refused() {
    let world = World::new();
    world.write("a.toml", &partner("p-1"));
    let (_, mistakes) = world.load();
    assert_eq!((mistakes.0.len(), mistakes.errors()), (2, 0), "{mistakes}");
    world.write("a.toml", &(partner("p-1") + "state = \"inactive\"\n"));
    assert!(world.load().1.0.is_empty());
}
