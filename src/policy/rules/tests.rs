//! Loading: every mistake with its place and remedy. Deciding: deny unless permitted, at both hooks, near misses beside.

use std::fs;

use super::*;
use crate::{
    clock::Moment,
    config::{Document, Severity},
    ida::{Bio, Factor},
    partners::{
        Directory,
        testing::{NOW, World as Parties, partner},
    },
    policy::RouteTable,
};

const ROUTES: &str = r#"
    [[route]]
    name = "ida-auth"
    path = "/idauthentication/v1/auth/{misp_lk}/{partner_id}/{api_key}"
    handler = "ida"
    from = { face = "partner", envelope = "mosip-ida" }
    to = { upstream = "ida", envelope = "mosip-ida" }
    [[route]]
    name = "ida-kyc"
    path = "/idauthentication/v1/kyc/{misp_lk}/{partner_id}/{api_key}"
    handler = "ida"
    from = { face = "partner", envelope = "mosip-ida" }
    to = { upstream = "ida", envelope = "mosip-ida" }
    [[route]]
    name = "packets"
    path = "/packets/{rest}"
    methods = ["POST", "PUT"]
    handler = "relay"
    from = { face = "partner", envelope = "insecure_plain" }
    to = { upstream = "packetmanager", envelope = "insecure_plain" }
    [[upstream]]
    name = "ida"
    addresses = ["http://127.0.0.1:1"]
    [[upstream]]
    name = "packetmanager"
    addresses = ["http://127.0.0.1:1"]
"#;

const ANYTHING: &str = "@id(\"anything\")\npermit (principal, action, resource);\n";

#[derive(serde::Deserialize)]
struct Parts {
    route: Vec<config::Route>,
    upstream: Vec<config::Upstream>,
}

/// Two partners, three routes, and a folder for rules.
struct Place {
    folder: tempfile::TempDir,
    routes: RouteTable,
    upstreams: Vec<config::Upstream>,
    directory: Directory,
}

impl Place {
    fn new() -> Self {
        let parties = Parties::new();
        parties.write("a.toml", &partner("crvs"));
        parties.write("b.toml", &partner("seeder"));
        let parts: Parts = toml::from_str(ROUTES).unwrap();
        let document = Document::from_text(Path::new("triseal.toml"), ROUTES.to_owned());
        let mut mistakes = Mistakes::default();
        let names: Vec<&str> = parts.upstream.iter().map(|u| u.name.as_str()).collect();
        let mut report = Report::new(&document, &mut mistakes);
        let routes = RouteTable::build(&parts.route, &names, &mut report);
        assert!(!mistakes.refuse(), "{mistakes}");
        Self {
            folder: tempfile::tempdir().unwrap(),
            routes,
            upstreams: parts.upstream,
            directory: parties.directory(),
        }
    }

    fn write(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn read_from(&self, folder: &Path) -> (Option<Rules>, Mistakes) {
        let world = World {
            gateway: "misp",
            routes: &self.routes,
            upstreams: &self.upstreams,
            directory: &self.directory,
            now: NOW,
        };
        let mut mistakes = Mistakes::default();
        (Rules::read(folder, &world, &mut mistakes), mistakes)
    }

    fn read(&self) -> (Option<Rules>, Mistakes) {
        self.read_from(self.folder.path())
    }

    fn rules(&self) -> Rules {
        let (rules, mistakes) = self.read();
        assert!(mistakes.0.is_empty(), "{mistakes}");
        rules.unwrap()
    }
}

fn rules(text: &str) -> Rules {
    Place::new().write("rules.cedar", text).rules()
}

/// One mistake at this line, with this in what is wrong and this in the remedy.
#[track_caller]
fn refused(text: &str, line: usize, what: &str, remedy: &str) {
    let (rules, mistakes) = Place::new().write("rules.cedar", text).read();
    assert!(rules.is_none(), "{text}");
    let found = mistakes
        .0
        .iter()
        .any(|m| m.line == line && m.what.contains(what) && m.remedy.contains(remedy));
    assert!(found, "{line} `{what}` `{remedy}` is not in\n{mistakes}");
}

fn facts() -> Facts {
    let source = std::net::IpAddr::from([10, 1, 2, 3]);
    let mut facts = Facts::begin(NOW, source, "partners", "certificate");
    facts.tls = Some("1.3".to_owned());
    "mosip-ida".clone_into(&mut facts.envelope);
    "off".clone_into(&mut facts.evidence);
    facts
}

fn with_factors(factors: &[Factor]) -> Facts {
    let mut facts = facts();
    facts.content = true;
    facts.saw_factors(factors);
    facts
}

const AUTH: Asked<'_> = Asked {
    partner: "crvs",
    route: "ida-auth",
    method: "POST",
};

#[track_caller]
fn code(rules: &Rules, hook: Hook, asked: Asked<'_>, facts: &Facts) -> Option<Code> {
    let decision = rules.decide(hook, asked, facts).unwrap();
    decision.enforce(hook).err().map(|refusal| refusal.code())
}

#[test]
fn every_mistake_is_reported_at_once_with_file_line_and_remedy() {
    let text = "permit (principal, action, resource);\n\
        @id(\"two\")\npermit (principal, action == Action::\"ida-aut\", resource);\n\
        @id(\"three\")\nforbid (principal, action, resource)\nwhen { context.factors.contains(\"otp\") };\n\
        @id(\"four\")\nforbid (principal, action, resource == Upstream::\"idaa\");\n\
        @id(\"two\")\nforbid (principal, action, resource) when { principal.kind == 3 };\n";
    let (rules, mistakes) = Place::new().write("rules.cedar", text).read();
    assert!(rules.is_none());
    let said = mistakes.to_string();
    for part in [
        "rules.cedar:1: error: the policy has no @id. Add @id",
        "rules.cedar:3: error: policy `two`: unrecognized action",
        "Did you mean `Action::\"ida-auth\"`?",
        "rules.cedar:6: error: policy `three`: unable to guarantee safety of access to optional attribute `factors`",
        "rules.cedar:7: error: policy `four`: there is no Upstream::\"idaa\". Did you mean `ida`?",
        "rules.cedar:9: error: there is another policy `two`, at rules.cedar:2. Give each",
        "rules.cedar:10: error: policy `two`:",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    refused(
        "@id(\"a\")\npermit (principal, action resource);",
        2,
        "unexpected token",
        "",
    );
    refused(
        "@id(\"a b\")\npermit (principal, action, resource);",
        1,
        "is no name",
        "letters",
    );
    refused(
        "@id(\"a\")\npermit (principal == ?principal, action, resource);",
        0,
        "template",
        "once for each",
    );
    refused(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal.colour == \"red\" };",
        3,
        "colour",
        "",
    );
    let (rules, mistakes) = Place::new().read();
    assert!(
        rules.is_none() && mistakes.to_string().contains("0 files"),
        "{mistakes}"
    );
    let (rules, mistakes) = Place::new().read_from(Path::new("no-such-folder"));
    assert!(
        rules.is_none() && mistakes.to_string().contains("cannot be read"),
        "{mistakes}"
    );
}

#[test]
fn a_partner_who_is_not_there_is_a_warning_and_stops_nothing() {
    let text = format!(
        "{ANYTHING}@id(\"x\")\nforbid (principal == Partner::\"crvz\", action, resource);\n"
    );
    let (rules, mistakes) = Place::new().write("rules.cedar", &text).read();
    assert!(rules.is_some());
    assert_eq!(mistakes.0.len(), 1, "{mistakes}");
    assert_eq!(
        (mistakes.0[0].severity, mistakes.0[0].line),
        (Severity::Warning, 3)
    );
    assert!(mistakes.0[0].remedy.contains("crvs"), "{mistakes}");
}

#[test]
fn what_nothing_permits_is_refused_at_both_hooks() {
    let only = "@id(\"a\")\npermit (principal == Partner::\"crvs\", action in Action::\"ida-auth\", resource);\n";
    let rules = rules(only);
    for (asked, admit, permit) in [
        (AUTH, None, None),
        (
            Asked {
                partner: "seeder",
                ..AUTH
            },
            Some(Code::RuleNone),
            Some(Code::RuleNoneContent),
        ),
        (
            Asked {
                route: "ida-kyc",
                ..AUTH
            },
            Some(Code::RuleNone),
            Some(Code::RuleNoneContent),
        ),
    ] {
        assert_eq!(
            code(&rules, Hook::Admit, asked, &facts()),
            admit,
            "{asked:?}"
        );
        let late = with_factors(&[Factor::Otp]);
        assert_eq!(
            code(&rules, Hook::Permit, asked, &late),
            permit,
            "{asked:?}"
        );
    }
}

#[test]
fn admission_refuses_only_what_no_content_could_save() {
    let by_content = rules(
        "@id(\"otp\")\npermit (principal == Partner::\"crvs\", action, resource)\n\
         when { context.hour >= 8 }\nwhen { context has factors && context.factors.contains(\"otp\") };\n\
         @id(\"no-face\")\nforbid (principal, action, resource) when { context has factors && context.factors.contains(\"bio-FACE\") };\n",
    );
    let face = Factor::Bio(Bio::Face);
    // The content may still save it, and it does or does not.
    assert_eq!(code(&by_content, Hook::Admit, AUTH, &facts()), None);
    for (factors, expected) in [
        (&[Factor::Otp][..], None),
        (&[Factor::Otp, Factor::Bio(Bio::Iris)], None),
        (&[Factor::Demo], Some(Code::RuleNoneContent)),
        (&[], Some(Code::RuleNoneContent)),
        (&[Factor::Otp, face], Some(Code::RuleForbidsContent)),
    ] {
        let late = with_factors(factors);
        assert_eq!(
            code(&by_content, Hook::Permit, AUTH, &late),
            expected,
            "{factors:?}"
        );
    }
    // Nothing could save these: another partner, another hour.
    let other = Asked {
        partner: "seeder",
        ..AUTH
    };
    assert_eq!(
        code(&by_content, Hook::Admit, other, &facts()),
        Some(Code::RuleNone)
    );
    let mut night = facts();
    night.time = Moment::from_s(0).s();
    assert_eq!(
        code(&by_content, Hook::Admit, AUTH, &night),
        Some(Code::RuleNone)
    );
}

#[test]
fn a_forbid_that_needs_no_content_ends_the_road_at_admission() {
    let text = format!(
        "{ANYTHING}@id(\"inside\")\nforbid (principal, action, resource)\n\
         unless {{ context.source.isInRange(ip(\"10.0.0.0/8\")) }};\n"
    );
    let rules = rules(&text);
    assert_eq!(code(&rules, Hook::Admit, AUTH, &facts()), None);
    let mut outside = facts();
    outside.source = std::net::IpAddr::from([11, 0, 0, 1]);
    let decision = rules.decide(Hook::Admit, AUTH, &outside).unwrap();
    assert_eq!(decision.forbids, ["inside"]);
    assert!(decision.permits.is_empty());
    let refusal = decision.enforce(Hook::Admit).unwrap_err();
    assert_eq!(refusal.code(), Code::RuleForbids);
    assert!(refusal.cause().contains("inside"), "{refusal}");
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies_and_is_named() {
    let text = format!(
        "{ANYTHING}@id(\"too-much\")\nforbid (principal, action, resource)\n\
         when {{ context.time * 9223372036854775807 < 0 }};\n"
    );
    let rules = rules(&text);
    let decision = rules.decide(Hook::Permit, AUTH, &facts()).unwrap();
    assert_eq!(
        (decision.allowed, &*decision.failed),
        (false, &["too-much".to_owned()][..])
    );
    let refusal = decision.enforce(Hook::Permit).unwrap_err();
    assert_eq!(refusal.code(), Code::RuleFailed);
    assert!(refusal.cause().contains("too-much"), "{refusal}");
}

#[test]
fn what_decided_is_named_in_order() {
    let text = format!(
        "{ANYTHING}@id(\"also\")\npermit (principal, action in Action::\"handler ida\", resource);\n@id(\"other\")\npermit (principal, action in Action::\"packets\", resource);\n"
    );
    let rules = rules(&text);
    let decision = rules.decide(Hook::Permit, AUTH, &facts()).unwrap();
    assert_eq!(decision.permits, ["also", "anything"]);
    assert_eq!(rules.about(AUTH).unwrap().len(), 2);
    let put = Asked {
        route: "packets",
        method: "PUT",
        ..AUTH
    };
    let decision = rules.decide(Hook::Permit, put, &facts()).unwrap();
    assert_eq!(decision.permits, ["anything", "other"]);
}

#[test]
fn a_partner_or_method_of_another_snapshot_is_a_fault_and_no_permission() {
    let rules = rules(ANYTHING);
    for asked in [
        Asked {
            partner: "nobody",
            ..AUTH
        },
        Asked {
            route: "nowhere",
            ..AUTH
        },
        Asked {
            method: "GET",
            ..AUTH
        },
    ] {
        let refusal = rules.decide(Hook::Permit, asked, &facts()).unwrap_err();
        assert_eq!(refusal.code(), Code::Fault);
    }
}

#[test]
fn the_digest_is_what_sha256sum_says() {
    let place = Place::new()
        .write("b.cedar", ANYTHING)
        .write("a.cedar", "// nothing\n")
        .write("ignored.txt", "x");
    let first = Arc::clone(place.rules().digest());
    let said = std::process::Command::new("sh")
        .arg("-c")
        .arg("LC_ALL=C sha256sum *.cedar | sha256sum")
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.split_whitespace().next(), Some(&*first));
    let changed = place.write("a.cedar", "// nothing more\n").rules();
    assert_ne!(changed.digest(), &first);
}

#[test]
fn every_fact_is_in_the_schema_with_its_type() {
    let place = Place::new();
    let schema = schema::read(&schema::text(&place.routes)).unwrap();
    let action = world::uid("Action", "POST ida-auth").unwrap();
    let mut full = with_factors(&[Factor::Otp]);
    full.policy = Some("ekyc".to_owned());
    full.algorithm = Some("RS256".to_owned());
    full.saw_attributes(["fullName"]);
    full.saw_identifier_type("VID");
    full.saw_topics(["CREDENTIAL_ISSUED"]);
    for facts in [facts(), full] {
        let context = context::of(&facts).unwrap();
        context.validate(&schema, &action).unwrap();
        let request = Request::new(
            world::uid("Partner", "crvs").unwrap(),
            action.clone(),
            world::uid("Upstream", "ida").unwrap(),
            context,
            Some(&schema),
        );
        assert!(request.is_ok(), "{request:?}");
    }
}

#[test]
fn the_sample_rules_of_the_repository_are_good_and_mean_what_they_say() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let (rules, mistakes) = place.read_from(&folder);
    assert!(mistakes.0.is_empty(), "{mistakes}");
    let rules = rules.unwrap();
    assert!(
        rules.written().iter().all(|one| one.about().is_some()),
        "each says what it is for"
    );
    let kyc = Asked {
        route: "ida-kyc",
        ..AUTH
    };
    let put = Asked {
        route: "packets",
        method: "PUT",
        ..AUTH
    };
    let mut plain = facts();
    plain.content = true;
    let mut photo = with_factors(&[Factor::Otp]);
    photo.saw_attributes(["photo"]);
    let mut ekyc = photo.clone();
    ekyc.policy = Some("ekyc".to_owned());
    let mut old = plain.clone();
    old.tls = Some("1.2".to_owned());
    let mut service = plain.clone();
    "network".clone_into(&mut service.known_by);
    for (asked, facts, expected) in [
        (AUTH, with_factors(&[Factor::Demo]), None),
        (AUTH, service, Some(Code::RuleNoneContent)),
        (
            kyc,
            with_factors(&[Factor::Demo]),
            Some(Code::RuleForbidsContent),
        ),
        (kyc, with_factors(&[Factor::Demo, Factor::Otp]), None),
        (kyc, with_factors(&[Factor::Bio(Bio::Iris)]), None),
        // Sealed to MOSIP itself: the factors cannot be seen.
        (kyc, plain.clone(), Some(Code::RuleForbidsContent)),
        (kyc, photo, Some(Code::RuleForbidsContent)),
        (kyc, ekyc, None),
        (put, plain, None),
        (put, old, Some(Code::RuleNoneContent)),
    ] {
        assert_eq!(
            code(&rules, Hook::Permit, asked, &facts),
            expected,
            "{asked:?} {facts:?}"
        );
    }
}

#[test]
fn a_schema_is_not_for_operators_to_change() {
    // What is embedded is what the repository shows.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/schema.cedarschema");
    assert_eq!(fs::read_to_string(file).unwrap(), schema::EMBEDDED);
    assert!(
        rules(ANYTHING)
            .schema_text()
            .contains("action \"POST ida-kyc\" in [\"ida-kyc\"]")
    );
}
