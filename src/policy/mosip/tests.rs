//! Reading policy documents, and each refusal of a policy.

use super::*;
use crate::config::{Document, Mistakes};
use crate::ida::Operation;
use crate::policy::{DataSharePolicy, MispPolicy};
use std::path::Path;

fn parse(text: &str) -> (Option<AuthPolicy>, Mistakes) {
    let mut mistakes = Mistakes::default();
    let document = Document::from_text(Path::new("triseal.toml"), String::new());
    let mut report = Report::new(&document, &mut mistakes);
    let policy = AuthPolicy::parse(text, "document", &mut report);
    (policy, mistakes)
}

fn allowing(entries: &str) -> AuthPolicy {
    let text = format!(
        r#"{{"authTokenType":"policy","allowedAuthTypes":[{entries}],"allowedKycAttributes":[]}}"#
    );
    parse(&text).0.unwrap()
}

fn code(answer: Result<(), Refusal>) -> (Code, Option<&'static str>) {
    let refusal = answer.unwrap_err();
    (refusal.code(), refusal.member())
}

#[test]
fn every_sample_policy_is_read_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let document = Document::from_text(&path, String::new());
            let mut mistakes = Mistakes::default();
            let mut report = Report::new(&document, &mut mistakes);
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let read = match name.as_str() {
                "misp" => MispPolicy::parse(&text, "document", &mut report).is_some(),
                "data-share" => DataSharePolicy::parse(&text, "document", &mut report).is_some(),
                _ => AuthPolicy::parse(&text, "document", &mut report).is_some(),
            };
            assert!(read && mistakes.0.is_empty(), "{name}: {mistakes}");
            count += 1;
        }
    }
    assert!(count >= 6);
}

#[test]
fn a_document_is_read_whole() {
    let (policy, _) = parse(include_str!("../../../policies/ekyc.json"));
    let policy = policy.unwrap();
    assert_eq!(policy.token_type(), TokenType::Policy);
    assert_eq!(
        policy.kyc_attributes(),
        ["fullName", "dateOfBirth", "gender", "photo"]
    );
    assert_eq!(policy.kyc_languages(), ["eng"]);
    assert_eq!(policy.allowed().len(), 4);
}

#[test]
fn all_mistakes_of_a_document_are_reported_at_once() {
    let (policy, mistakes) = parse(
        r#"{"authTokenType":"Random","allowedAuthTypes":[{"authType":1,"mandatory":"false","x":1},"demo"],
            "kycLanguages":"eng","policyId":"p"}"#,
    );
    assert!(policy.is_none());
    let all = mistakes.to_string();
    for part in [
        "unknown member `policyId`",
        "`authTokenType` has an unknown value",
        "`allowedAuthTypes[0]` has an unknown member `x`",
        "`allowedAuthTypes[0].authType` is not a text",
        "`allowedAuthTypes[0].mandatory` is not true or false",
        "`allowedAuthTypes[1]` is not an object",
        "`allowedKycAttributes` is missing",
        "`kycLanguages` is not a list of texts",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
}

#[test]
fn the_type_of_token_is_read_and_decides_nothing() {
    for entries in [
        r#"{"authType":"demo","mandatory":false}"#,
        r#"{"authType":"otp-request","mandatory":false},{"authType":"demo","mandatory":true}"#,
        "",
    ] {
        let of = |token: &str| {
            let text = format!(
                r#"{{"authTokenType":"{token}","allowedAuthTypes":[{entries}],"allowedKycAttributes":[{{"attributeName":"gender"}}]}}"#
            );
            parse(&text).0.unwrap()
        };
        let decisions = |policy: &AuthPolicy| {
            let decided = Operation::ALL.map(|operation| {
                let factors = [Factor::Demo];
                [
                    policy.permits_operation(operation),
                    policy.permits_factors(operation, &factors),
                ]
                .map(|answer| answer.map_err(|refusal| refusal.code()))
            });
            (
                decided,
                ["gender", "photo"].map(|name| policy.discloses(name)),
            )
        };
        let (random, partner, policy) = (of("random"), of("partner"), of("policy"));
        assert_eq!(
            [&random, &partner, &policy].map(AuthPolicy::token_type),
            [TokenType::Random, TokenType::Partner, TokenType::Policy]
        );
        assert_eq!(decisions(&random), decisions(&partner));
        assert_eq!(decisions(&random), decisions(&policy));
    }
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let (policy, mistakes) = parse(
        r#"{"authTokenType":"random","authTokenType":"policy","allowedAuthTypes":[],"allowedKycAttributes":[]}"#,
    );
    assert!(policy.is_none() && mistakes.to_string().contains("duplicate field"));
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for bad in ["", "[]", "null", "{", "{} {}", r#"{"a":1,}"#] {
        let (policy, mistakes) = parse(bad);
        assert!(policy.is_none() && mistakes.refuse(), "{bad}");
    }
}

#[test]
fn an_unknown_type_is_a_warning_and_a_mandatory_one_an_error() {
    for (mandatory, errors) in [(false, 0), (true, 1)] {
        for entry in [
            format!(r#"{{"authType":"dmeo","mandatory":{mandatory}}}"#),
            format!(r#"{{"authType":"bio","mandatory":{mandatory}}}"#),
            format!(r#"{{"authType":"bio","authSubType":"HAND","mandatory":{mandatory}}}"#),
        ] {
            let text = format!(
                r#"{{"authTokenType":"policy","allowedAuthTypes":[{entry}],"allowedKycAttributes":[]}}"#
            );
            let (policy, mistakes) = parse(&text);
            assert_eq!(
                (mistakes.0.len(), mistakes.errors()),
                (1, errors),
                "{entry}"
            );
            assert_eq!(policy.is_some(), errors == 0);
        }
    }
}

#[test]
fn each_operation_needs_its_own_permission() {
    for operation in Operation::ALL {
        let Some(permission) = operation.permission() else {
            assert!(allowing("").permits_operation(operation).is_ok());
            continue;
        };
        let entry = |word: &str| format!(r#"{{"authType":"{word}","mandatory":false}}"#);
        assert!(
            allowing(&entry(permission))
                .permits_operation(operation)
                .is_ok()
        );
        assert!(
            allowing(&entry(&permission.to_uppercase()))
                .permits_operation(operation)
                .is_ok()
        );
        let others: Vec<String> = (Operation::ALL.iter())
            .filter_map(|o| o.permission())
            .filter(|p| *p != permission)
            .chain(["demo", "otp"])
            .map(entry)
            .collect();
        let answer = allowing(&others.join(",")).permits_operation(operation);
        assert_eq!(code(answer), (Code::PolicyRoute, Some(permission)));
    }
}

#[test]
fn a_factor_that_is_not_listed_is_refused_and_named() {
    let policy = allowing(
        r#"{"authType":"DEMO","mandatory":false},{"authType":"bio","authSubType":"finger","mandatory":false},
           {"authType":"otp-request","mandatory":false}"#,
    );
    let ask = |factors: &[Factor]| policy.permits_factors(Operation::Auth, factors);
    assert!(ask(&[Factor::Demo, Factor::Bio(Bio::Finger)]).is_ok());
    assert!(ask(&[]).is_ok());
    for factor in Factor::ALL {
        if matches!(factor, Factor::Demo | Factor::Bio(Bio::Finger)) {
            continue;
        }
        let answer = ask(&[Factor::Demo, factor]);
        assert_eq!(code(answer), (Code::PolicyFactor, Some(factor.as_upper())));
    }
}

#[test]
fn bio_without_a_sub_type_allows_no_biometrics() {
    let policy = allowing(r#"{"authType":"bio","mandatory":false}"#);
    let answer = policy.permits_factors(Operation::Auth, &[Factor::Bio(Bio::Face)]);
    assert_eq!(code(answer), (Code::PolicyFactor, Some("BIO-FACE")));
}

#[test]
fn a_mandatory_factor_must_be_there_where_factors_are_asked_for() {
    let policy = allowing(
        r#"{"authType":"otp","mandatory":true},{"authType":"demo","mandatory":false},
           {"authType":"bio","authSubType":"IRIS","mandatory":true}"#,
    );
    let iris = Factor::Bio(Bio::Iris);
    for operation in Operation::ALL {
        let ask = |factors: &[Factor]| policy.permits_factors(operation, factors);
        assert!(ask(&[Factor::Otp, iris]).is_ok());
        if operation.demands_mandatory() {
            assert_eq!(
                code(ask(&[Factor::Demo, iris])),
                (Code::PolicyMandatory, Some("otp"))
            );
            assert_eq!(
                code(ask(&[Factor::Otp])),
                (Code::PolicyMandatory, Some("bio-IRIS"))
            );
        } else {
            assert!(ask(&[]).is_ok());
        }
    }
}

#[test]
fn mandatory_kyc_wants_the_operation_itself() {
    let policy =
        allowing(r#"{"authType":"kyc","mandatory":true},{"authType":"demo","mandatory":false}"#);
    assert!(
        policy
            .permits_factors(Operation::Kyc, &[Factor::Demo])
            .is_ok()
    );
    let answer = policy.permits_factors(Operation::Auth, &[Factor::Demo]);
    assert_eq!(code(answer), (Code::PolicyMandatory, Some("kyc")));
}

#[test]
fn an_ekyc_answer_has_what_is_allowed_under_mosips_names_and_in_the_languages() {
    let document = |attributes: &[&str], languages: &str| {
        let list: Vec<String> = attributes
            .iter()
            .map(|name| format!(r#"{{"attributeName": "{name}"}}"#))
            .collect();
        format!(
            r#"{{"authTokenType": "random", "allowedAuthTypes": [], "allowedKycAttributes": [{}]{languages}}}"#,
            list.join(",")
        )
    };
    let allowed = ["fullName", "dob", "photo", "home_key"];
    let policy = |languages: &str| {
        let text = document(&allowed, languages);
        let file = Document::from_text(Path::new("x"), String::new());
        let mut mistakes = Mistakes::default();
        let mut report = Report::new(&file, &mut mistakes);
        AuthPolicy::parse(&text, "document", &mut report).unwrap()
    };
    let (english, any) = (policy(r#", "kycLanguages": ["eng"]"#), policy(""));
    for member in [
        "fullName",
        "fullName_eng",
        "name",
        "name_eng",
        "dob",
        "dateOfBirth",
        "photo",
        "home_key",
    ] {
        assert!(
            english.discloses(member) && any.discloses(member),
            "{member}"
        );
    }
    assert!(any.discloses("name_fra") && !english.discloses("name_fra"));
    for member in [
        "phone",
        "phoneNumber",
        "gender_eng",
        "names",
        "name_en",
        "name_eng_eng",
        "_eng",
        "",
        "Photo",
        "home",
    ] {
        assert!(!english.discloses(member), "{member}");
    }
}
