//! What core says, and what it means.

use http::HeaderMap;

use super::*;

fn answer(status: u16, body: &str) -> Answered {
    Answered {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_owned()),
        receipt: None,
    }
}

fn error(code: &str, status: u16, message: &str) -> String {
    format!(
        r#"[{{"error":{{"json":{{"message":"{message}","code":-32603,"data":{{"code":"{code}","httpStatus":{status},"path":"p"}}}}}}}}]"#
    )
}

#[test]
fn only_a_result_is_a_yes() {
    let yes = r#"[{"result":{"data":{"json":{"id":"e"}}}}]"#;
    assert_eq!(judge(&answer(200, yes)), Confirmed::Yes);
    for body in [
        "",
        "[]",
        "{}",
        "OK",
        "[null]",
        r#"{"result":{"data":{}}}"#,
        r#"[{"result":{}}]"#,
        r#"[{"result":{"data":{}}},{"result":{"data":{}}}]"#,
        r#"[{"result":{"data":{}},"error":{"json":{"data":{"httpStatus":500}}}}]"#,
    ] {
        assert!(
            matches!(judge(&answer(200, body)), Confirmed::Later(_)),
            "{body}"
        );
    }
    assert!(matches!(judge(&answer(500, yes)), Confirmed::Later(_)));
}

#[test]
fn each_class_of_answers_means_what_the_reference_says() {
    let of = |status: u16, body: String| judge(&answer(status, &body));
    let never = |confirmed, word: &str| {
        assert!(
            matches!(&confirmed, Confirmed::Never(why) if why.contains(word)),
            "{confirmed:?}"
        );
    };
    never(
        of(
            400,
            error("BAD_REQUEST", 400, "Action has already been rejected."),
        ),
        "already rejected",
    );
    never(
        of(400, error("BAD_REQUEST", 400, "Input validation failed")),
        "does not take",
    );
    never(of(401, error("UNAUTHORIZED", 401, "x")), "operator needed");
    never(of(401, "gateway says no".to_owned()), "operator needed");
    never(of(403, error("FORBIDDEN", 403, "x")), "forbids");
    never(of(404, error("NOT_FOUND", 404, "x")), "does not know");
    never(of(207, error("NOT_FOUND", 404, "x")), "does not know");
    for (status, body) in [
        (500, error("INTERNAL_SERVER_ERROR", 500, "x")),
        (502, "<html>".to_owned()),
        (429, String::new()),
        (200, error("INTERNAL_SERVER_ERROR", 500, "x")),
        (200, "[{\"error\":{}}]".to_owned()),
    ] {
        assert!(matches!(of(status, body), Confirmed::Later(_)));
    }
}

#[test]
fn what_core_says_in_its_own_words_is_not_repeated() {
    let said = judge(&answer(
        400,
        &error("Nova Example 123", 400, "Nova Example is unknown"),
    ));
    assert!(matches!(said, Confirmed::Never(why) if !why.contains("Nova")));
}
