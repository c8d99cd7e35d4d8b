//! The facts of an exchange as Cedar sees them, and which of them are known before anything is opened.

use cedar_policy::{Context, RestrictedExpression as Value};
use serde_json::Value as Json;

use crate::policy::Facts;

/// What is known at admission. Every other name is of the content.
const KNOWN_EARLY: [&str; 10] = [
    "time", "hour", "weekday", "source", "face", "knownBy", "tls", "envelope", "evidence", "policy",
];

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// 1970 began on a Thursday, the fourth day from Monday.
const FIRST_WEEKDAY: i64 = 3;

/// The context of a decision; `Err` says what Cedar does not take.
pub(super) fn of(facts: &Facts) -> Result<Context, String> {
    let text = |value: &str| Value::new_string(value.to_owned());
    let mut pairs: Vec<(String, Value)> = Vec::with_capacity(16);
    let mut add = |name: &str, value: Value| pairs.push((name.to_owned(), value));
    let of_day = facts.time.rem_euclid(DAY_S);
    let day = facts.time.div_euclid(DAY_S);
    add("time", Value::new_long(facts.time));
    add("hour", Value::new_long(of_day.div_euclid(HOUR_S)));
    let weekday = day.saturating_add(FIRST_WEEKDAY).rem_euclid(7);
    add("weekday", Value::new_long(weekday.saturating_add(1)));
    add("source", Value::new_ip(facts.source.to_string()));
    add("face", text(&facts.face));
    add("knownBy", text(&facts.known_by));
    add("envelope", text(&facts.envelope));
    add("evidence", text(&facts.evidence));
    add("content", Value::new_bool(facts.content));
    for (name, value) in [
        ("tls", &facts.tls),
        ("policy", &facts.policy),
        ("algorithm", &facts.algorithm),
        ("identifierType", &facts.identifier_type),
    ] {
        if let Some(value) = value {
            add(name, text(value));
        }
    }
    for (name, values) in [
        ("factors", &facts.factors),
        ("attributes", &facts.attributes),
        ("topics", &facts.topics),
    ] {
        if let Some(values) = values {
            add(name, Value::new_set(values.iter().map(|value| text(value))));
        }
    }
    Context::from_pairs(pairs).map_err(|e| e.to_string())
}

/// Whether an expression (Cedar's JSON form) asks for something that is known only over the content. What is not plainly a
/// fact of admission counts as content.
pub(super) fn reads_content(expression: &Json) -> bool {
    match expression {
        Json::Object(members) => {
            if members.get("Var").and_then(Json::as_str) == Some("context") {
                return true;
            }
            members.iter().any(|(operator, inner)| {
                let early = matches!(operator.as_str(), "." | "has")
                    && inner.get("left").and_then(|left| left.get("Var"))
                        == Some(&Json::from("context"))
                    && (inner.get("attr").and_then(Json::as_str))
                        .is_some_and(|attr| KNOWN_EARLY.contains(&attr));
                !early && reads_content(inner)
            })
        }
        Json::Array(items) => items.iter().any(reads_content),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn reads(condition: &str) -> bool {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let json = Policy::parse(None, text).unwrap().to_json().unwrap();
        reads_content(&json)
    }

    #[test]
    fn facts_of_admission_are_told_from_facts_of_the_content() {
        for early in [
            "true",
            "context.hour >= 8 && context.hour < 18",
            "context.source.isInRange(ip(\"10.0.0.0/8\"))",
            "context has tls && context.tls == \"1.3\"",
            "context has policy && principal.policies.contains(context.policy)",
            "principal.certificates has tls && principal.certificates.tls.bits >= 3072",
            "principal.organisation == \"context\"",
        ] {
            assert!(!reads(early), "{early}");
        }
        for late in [
            "context.content",
            "context has factors && context.factors.contains(\"otp\")",
            "context has attributes",
            "context has identifierType && context.hour > 3",
            "context.hour > 3 || context has topics",
            "[context has algorithm].contains(true)",
            "if context has factors then true else false",
            "{a: context} == {a: context}",
        ] {
            assert!(reads(late), "{late}");
        }
    }

    #[test]
    fn the_hour_and_the_day_are_those_of_the_time() {
        let source = std::net::IpAddr::from([127, 0, 0, 1]);
        let at = |seconds| {
            let at = crate::clock::Moment::from_s(seconds);
            of(&Facts::begin(at, source, "partner", "certificate")).unwrap()
        };
        let long = |context: &Context, name: &str| match context.get(name) {
            Some(cedar_policy::EvalResult::Long(value)) => value,
            other => panic!("{name}: {other:?}"),
        };
        // Thursday 1970-01-01 00:00:00; Sunday 2026-11-22 23:59:59; Monday 2026-11-23 00:00:00.
        for (seconds, weekday, hour) in [
            (0, 4, 0),
            (1_795_391_999, 7, 23),
            (1_795_392_000, 1, 0),
            (-1, 3, 23),
        ] {
            let context = at(seconds);
            assert_eq!(
                (long(&context, "weekday"), long(&context, "hour")),
                (weekday, hour)
            );
        }
    }
}
