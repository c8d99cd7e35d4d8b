//! The table of the IDA reference, section 8, row by row, and MOSIP's order.

use super::*;
use crate::ida::Operation;
use crate::{
    config::{self, Document, Mistakes, Report},
    partners::{
        SecretKind,
        testing::{NOW, World, partner},
    },
    refusal::Code,
};
use std::path::Path;

/// Dates around `NOW`, and the moments at their edges.
const FROM: &str = "valid_from = \"2027-01-15T08:00:00Z\"\n";
const UNTIL: &str = "valid_until = \"2027-01-15T08:00:00Z\"\n";

/// What stands in each of the files beside the keys; everything holds when it is empty.
#[derive(Clone, Copy, Default)]
struct Given<'a> {
    partner: &'a str,
    policy: &'a str,
    api_key: &'a str,
    licence: &'a str,
    misp: &'a str,
}

impl Given<'_> {
    fn answer(self, at: Moment) -> Option<Code> {
        self.ask("123456", "LICENCE", Operation::Auth, at)
    }

    fn ask(
        self,
        api_key: &str,
        licence_key: &str,
        operation: Operation,
        at: Moment,
    ) -> Option<Code> {
        let world = World::new();
        let hash = World::hash(SecretKind::ApiKey, "123456");
        let keys = format!(
            "[[api_key]]\nhash = \"{hash}\"\npolicy = \"auth\"\n{}",
            self.api_key
        );
        world.write("p.toml", &(partner("p-1") + self.partner + &keys));
        let hash = World::hash(SecretKind::LicenceKey, "LICENCE");
        let keys = format!(
            "kind = \"misp\"\n{}[[licence_key]]\nhash = \"{hash}\"\n{}",
            self.misp, self.licence
        );
        world.write("m.toml", &(partner("misp") + &keys));
        let directory = world.directory();
        let policies = policies(self.policy);
        let partner = directory.partner("p-1").unwrap();
        Admission::ask(
            &directory,
            &policies,
            partner,
            operation,
            Presented {
                api_key,
                licence_key,
            },
            at,
        )
        .map_err(|refusal| refusal.code())
        .map(|admission| {
            assert_eq!(admission.misp().id().as_str(), "misp");
            assert_eq!(admission.api_key().policy(), "auth");
        })
        .err()
    }
}

fn policies(more: &str) -> Policies {
    let raw = |text: String| -> config::Policy { toml::from_str(&text).unwrap() };
    let raw = [
        raw(format!("id = \"auth\"\ndocument = \"auth.json\"\n{more}")),
        raw("id = \"delegation\"\nkind = \"misp\"\ndocument = \"misp.json\"\n".to_owned()),
    ];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/triseal.toml");
    let document = Document::from_text(&file, String::new());
    let mut mistakes = Mistakes::default();
    let policies = Policies::build(&raw, &mut Report::new(&document, &mut mistakes), NOW);
    assert!(!mistakes.refuse(), "{mistakes}");
    policies
}

const OFF: &str = "state = \"inactive\"\n";
const GONE: &str = "state = \"deleted\"\n";
const BEFORE: Moment = NOW.plus_ms(-1);
const AFTER: Moment = NOW.plus_ms(1);

/// Not yet before the first moment, not any more after the last.
fn dated(make: impl Fn(&'static str) -> Given<'static>, not_commenced: Code, expired: Code) {
    for (text, at, answer) in [
        (FROM, BEFORE, Some(not_commenced)),
        (FROM, NOW, None),
        (FROM, AFTER, None),
        (UNTIL, BEFORE, None),
        (UNTIL, NOW, None),
        (UNTIL, AFTER, Some(expired)),
    ] {
        assert_eq!(make(text).answer(at), answer, "{text} {at:?}");
    }
}

#[test]
fn what_is_registered_and_active_is_admitted() {
    assert_eq!(Given::default().answer(NOW), None);
}

#[test]
fn no_mapping_and_a_deleted_mapping_get_the_answer_of_an_unknown_api_key() {
    let given = Given::default();
    for near in [
        "", "12345", "1234567", "0123456", "123457", "123456 ", "LICENCE",
    ] {
        assert_eq!(
            given.ask(near, "LICENCE", Operation::Auth, NOW),
            Some(Code::ApiKeyUnknown),
            "{near}"
        );
    }
    let given = Given {
        api_key: GONE,
        ..Given::default()
    };
    assert_eq!(given.answer(NOW), Some(Code::ApiKeyUnknown));
}

#[test]
fn an_api_key_of_another_partner_is_unknown() {
    let world = World::new();
    let hash = World::hash(SecretKind::ApiKey, "123456");
    world.write(
        "p.toml",
        &(partner("p-1") + &format!("[[api_key]]\nhash = \"{hash}\"\npolicy = \"auth\"\n")),
    );
    world.write("q.toml", &partner("p-2"));
    let directory = world.directory();
    assert!(
        directory
            .api_key(directory.partner("p-1").unwrap(), "123456", NOW)
            .is_ok()
    );
    let answer = directory.api_key(directory.partner("p-2").unwrap(), "123456", NOW);
    assert_eq!(answer.unwrap_err().code(), Code::ApiKeyUnknown);
}

#[test]
fn a_deleted_partner_and_an_inactive_one_get_their_answers() {
    assert_eq!(
        Given {
            partner: GONE,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::PartnerUnknown)
    );
    assert_eq!(
        Given {
            partner: OFF,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::PartnerInactive)
    );
    let make = |partner| Given {
        partner,
        ..Given::default()
    };
    dated(make, Code::PartnerNotValid, Code::PartnerNotValid);
}

#[test]
fn a_deleted_policy_and_one_that_does_not_hold_get_their_answers() {
    assert_eq!(
        Given {
            policy: GONE,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::PolicyUnknown)
    );
    assert_eq!(
        Given {
            policy: OFF,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::PolicyInactive)
    );
    let make = |policy| Given {
        policy,
        ..Given::default()
    };
    dated(make, Code::PolicyInactive, Code::PolicyInactive);
}

#[test]
fn an_inactive_api_key_and_one_outside_its_dates_get_their_answers() {
    assert_eq!(
        Given {
            api_key: OFF,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::ApiKeyInactive)
    );
    let make = |api_key| Given {
        api_key,
        ..Given::default()
    };
    dated(make, Code::ApiKeyNotValid, Code::ApiKeyNotValid);
}

#[test]
fn a_licence_that_is_missing_deleted_blocked_or_outside_its_dates_gets_its_answer() {
    for near in ["", "LICENC", "LICENCES", "licence", "123456"] {
        let answer = Given::default().ask("123456", near, Operation::Auth, NOW);
        assert_eq!(answer, Some(Code::LicenceUnknown), "{near}");
    }
    assert_eq!(
        Given {
            licence: GONE,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::LicenceUnknown)
    );
    assert_eq!(
        Given {
            licence: OFF,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::LicenceBlocked)
    );
    let make = |licence| Given {
        licence,
        ..Given::default()
    };
    dated(make, Code::LicenceUnknown, Code::LicenceExpired);
}

#[test]
fn a_misp_takes_its_licences_with_it() {
    assert_eq!(
        Given {
            misp: GONE,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::LicenceUnknown)
    );
    assert_eq!(
        Given {
            misp: OFF,
            ..Given::default()
        }
        .answer(NOW),
        Some(Code::LicenceBlocked)
    );
    let make = |misp| Given {
        misp,
        ..Given::default()
    };
    dated(make, Code::LicenceUnknown, Code::LicenceExpired);
}

#[test]
fn an_operation_that_the_policy_does_not_list_is_refused() {
    let answer = Given::default().ask("123456", "LICENCE", Operation::Kyc, NOW);
    assert_eq!(answer, Some(Code::PolicyRoute));
}

#[test]
fn the_first_answer_is_the_one_mosip_would_give() {
    let all = Given {
        partner: OFF,
        policy: OFF,
        api_key: OFF,
        licence: OFF,
        misp: "",
    };
    let ask = |given: Given<'_>, key: &str| given.ask(key, "LICENCE", Operation::Kyc, NOW);
    assert_eq!(ask(all, "1"), Some(Code::ApiKeyUnknown));
    assert_eq!(
        ask(
            Given {
                api_key: GONE,
                ..all
            },
            "123456"
        ),
        Some(Code::ApiKeyUnknown)
    );
    assert_eq!(ask(all, "123456"), Some(Code::PartnerInactive));
    let all = Given { partner: "", ..all };
    assert_eq!(ask(all, "123456"), Some(Code::PolicyInactive));
    let all = Given { policy: "", ..all };
    assert_eq!(ask(all, "123456"), Some(Code::ApiKeyInactive));
    let all = Given { api_key: "", ..all };
    assert_eq!(ask(all, "123456"), Some(Code::LicenceBlocked));
    let all = Given { licence: "", ..all };
    assert_eq!(ask(all, "123456"), Some(Code::PolicyRoute));
}

#[test]
fn delegated_routes_ask_the_misps_policy_before_the_partners() {
    let ask = |licence: &'static str, operation: Operation| {
        let given = Given {
            licence,
            ..Given::default()
        };
        given.ask("123456", "LICENCE", operation, NOW)
    };
    for operation in Operation::ALL.into_iter().filter(|o| o.delegated()) {
        assert_eq!(
            ask("", operation),
            Some(Code::MispPolicyMissing),
            "{operation:?}"
        );
        // Of another kind.
        let auth = ask("policy = \"auth\"\n", operation);
        assert_eq!(auth, Some(Code::MispPolicyMissing), "{operation:?}");
        // The MISP may; then it is the partner's policy that does not list it.
        let named = ask("policy = \"delegation\"\n", operation);
        assert_eq!(named, Some(Code::PolicyRoute), "{operation:?}");
    }
    assert_eq!(ask("", Operation::Auth), None);
}
