//! Each line of the field guide's section 3.4 that is about meaning, with its near miss.

use super::*;
use http::{HeaderMap, Request};

fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method("POST").version(version).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn h1(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut parts = request(Version::HTTP_11, target, headers);
    let host = HeaderValue::from_static("gate.example");
    parts.headers.entry("host").or_insert(host);
    parts
}

fn h2(headers: &[(&str, &str)]) -> Parts {
    request(Version::HTTP_2, "https://gate.example/a", headers)
}

fn judge(parts: &Parts) -> Result<CanonicalRequest, Code> {
    let rules = HostRules::names(["Gate.example", "[::1]", "127.0.0.1"]);
    CanonicalRequest::from_parts(parts, &rules, None).map_err(|refusal| refusal.code())
}

#[track_caller]
fn refused(parts: &Parts, code: Code) {
    assert_eq!(
        judge(parts).map(|_| ()),
        Err(code),
        "{:?} {:?}",
        parts.uri,
        parts.headers
    );
}

#[track_caller]
fn passes(parts: &Parts) -> CanonicalRequest {
    judge(parts).unwrap_or_else(|code| panic!("{code}: {:?} {:?}", parts.uri, parts.headers))
}

#[test]
fn a_plain_request_is_read_alike_on_both_versions() {
    let headers = [("content-length", "12"), ("x-correlation-id", "0123-abcd")];
    let mut over_h2 = h2(&headers);
    over_h2.uri = "https://gate.example:8443/v1/auth/Key_1/p~2/k.3?a=b%20c"
        .parse()
        .unwrap();
    let over_h1 = h1("/v1/auth/Key_1/p~2/k.3?a=b%20c", &headers);
    for parts in [over_h1, over_h2] {
        let read = passes(&parts);
        assert_eq!(read.method(), Method::POST);
        assert_eq!(read.host(), "gate.example");
        assert_eq!(read.path().as_str(), "/v1/auth/Key_1/p~2/k.3");
        let segments: Vec<_> = read.path().segments().collect();
        assert_eq!(segments, ["v1", "auth", "Key_1", "p~2", "k.3"]);
        assert_eq!(read.query(), Some("a=b%20c"));
        assert_eq!(read.correlation_id(), Some("0123-abcd"));
        assert_eq!(read.content_length(), Some(12));
    }
    assert_eq!(passes(&h1("/", &[])).path().segments().count(), 0);
    assert_eq!(passes(&h1("/a?", &[])).query(), None);
}

#[test]
fn methods_outside_the_list_are_refused() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let mut parts = h1("/a", &[]);
        parts.method = method.parse().unwrap();
        passes(&parts);
    }
    for method in ["CONNECT", "TRACE", "PROPFIND", "get", "PRI"] {
        let mut parts = h1("/a", &[]);
        parts.method = method.parse().unwrap();
        refused(&parts, Code::HttpUpgrade);
    }
}

#[test]
fn other_versions_are_refused() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_3] {
        let mut parts = h1("/a", &[]);
        parts.version = version;
        refused(&parts, Code::HttpUpgrade);
    }
}

#[test]
fn host_is_a_configured_name() {
    for good in [
        "gate.example",
        "GATE.example:443",
        "[::1]:8443",
        "[::1]",
        "127.0.0.1:80",
    ] {
        passes(&h1("/a", &[("host", good)]));
    }
    for bad in [
        "other.example",
        "gate.example.",
        "agate.example",
        "gate.example.evil",
        "gate.example:",
        "gate.example:99999",
        "gate.example:+80",
        "gate.example:80:80",
        "gate.example@evil",
        "u@gate.example",
        "[::1",
        "[::2]",
        "::1",
        "",
        "gate.example/",
        "gate.example,other",
    ] {
        refused(&h1("/a", &[("host", bad)]), Code::HttpHost);
    }
    refused(
        &h1("/a", &[("host", "gate.example"), ("host", "gate.example")]),
        Code::HttpHost,
    );
    refused(&request(Version::HTTP_11, "/a", &[]), Code::HttpHost);
    // Absolute target, even one that agrees with Host.
    refused(&h1("http://gate.example/a", &[]), Code::HttpPath);
}

#[test]
fn any_host_is_taken_where_none_is_configured_but_it_must_be_one() {
    let judge =
        |host| CanonicalRequest::from_parts(&h1("/a", &[("host", host)]), &HostRules::any(), None);
    assert_eq!(judge("Any_Thing:1").unwrap().host(), "any_thing");
    assert_eq!(judge("a b").unwrap_err().code(), Code::HttpHost);
}

#[test]
fn host_is_the_tls_server_name() {
    let rules = HostRules::names(["gate.example", "other.example"]);
    let judge = |sni, parts: &Parts| {
        CanonicalRequest::from_parts(parts, &rules, sni)
            .map(|_| ())
            .map_err(|r| r.code())
    };
    for parts in [h1("/a", &[]), h2(&[])] {
        assert_eq!(judge(Some("Gate.Example"), &parts), Ok(()));
        assert_eq!(judge(None, &parts), Ok(()));
        // Both are names of ours, but not the same.
        assert_eq!(judge(Some("other.example"), &parts), Err(Code::HttpHost));
        assert_eq!(judge(Some("gate.example."), &parts), Err(Code::HttpHost));
    }
}

#[test]
fn authority_is_demanded_on_http2_and_a_host_beside_it_must_be_equal() {
    passes(&h2(&[("host", "gate.example")]));
    refused(&h2(&[("host", "other.example")]), Code::HttpHost);
    refused(&h2(&[("host", "gate.example:443")]), Code::HttpHost);
    refused(
        &h2(&[("host", "gate.example"), ("host", "gate.example")]),
        Code::HttpHost,
    );
    refused(
        &request(Version::HTTP_2, "/a", &[("host", "gate.example")]),
        Code::HttpHost,
    );
    refused(
        &request(Version::HTTP_2, "https://u@gate.example/a", &[]),
        Code::HttpHost,
    );
}

#[test]
fn paths_have_one_spelling() {
    for bad in [
        "//",
        "//a",
        "/a//b",
        "/a/",
        "/.",
        "/..",
        "/a/.",
        "/a/..",
        "/a/../b",
        "/./a",
        "/...",
        "/a/%2e%2e/b",
        "/%2E",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%00",
        "/a%252e",
        "/%61",
        "/a%",
        "/a;b",
        "/a;b/c",
        "/..;/a",
        "/a,b",
        "/a+b",
        "/a!b",
        "/a*b",
        "/a'b",
        "/a(b)",
        "/a$b",
        "/a&b",
        "/a\\b",
        "/a\\..\\b",
        "/a|b",
        "/caf\u{e9}",
        "/%c0%af",
        "/{a}",
        "/a\"b",
    ] {
        refused(&h1(bad, &[]), Code::HttpPath);
    }
    for good in [
        "/a.b",
        "/..a",
        "/a..",
        "/.well-known/triseal",
        "/a:b@c=",
        "/A/a/A",
        "/-_~",
    ] {
        assert_eq!(passes(&h1(good, &[])).path().as_str(), good);
    }
    passes(&h1(&format!("/{}", "a".repeat(2047)), &[]));
    refused(&h1(&format!("/{}", "a".repeat(2048)), &[]), Code::HttpPath);
    refused(&h1("*", &[]), Code::HttpPath);
}

#[test]
fn queries_hide_no_control_characters() {
    for bad in [
        "%00",
        "%0d%0a",
        "%1F",
        "%7f",
        "%7F",
        "%",
        "%2",
        "%zz",
        "{a}",
        "a\\b",
        "a|b",
        "caf\u{e9}",
    ] {
        refused(&h1(&format!("/a?{bad}"), &[]), Code::HttpPath);
    }
    for good in [
        "a=b&c=d",
        "u=https%3A%2F%2Fx.y/?z",
        "%7e%7E",
        "%c3%a9",
        "a;b",
    ] {
        assert_eq!(passes(&h1(&format!("/a?{good}"), &[])).query(), Some(good));
    }
}

#[test]
fn headers_that_only_the_gateway_may_set_are_refused() {
    for name in [
        "x-triseal-code",
        "X-Triseal-Partner",
        "x-triseal-",
        "client-cert",
        "client-cert-chain",
        "x-client-cert",
        "x-client-cert-dn",
        "x-forwarded-client-cert",
        "x-ssl-client-s-dn",
        "ssl-client-verify",
        "x-partner-id",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-forwarded-user",
        "remote-user",
        "x-auth-request-email",
    ] {
        refused(&h1("/a", &[(name, "x")]), Code::HttpSpoofed);
        refused(&h2(&[(&name.to_ascii_lowercase(), "x")]), Code::HttpSpoofed);
    }
    passes(&h1(
        "/a",
        &[
            ("x-trisealed", "x"),
            ("x-clientcert", "x"),
            ("client-certs", "x"),
        ],
    ));
}

#[test]
fn names_with_marks_that_servers_fold_are_refused() {
    for name in [
        "x_triseal_partner",
        "x-triseal_partner",
        "client_cert",
        "x.triseal.partner",
        "content_length",
        "a!b",
    ] {
        refused(&h1("/a", &[(name, "x")]), Code::HttpHeader);
        refused(&h2(&[(name, "x")]), Code::HttpHeader);
    }
}

#[test]
fn values_are_visible_ascii() {
    let mut parts = h2(&[]);
    for bad in [b"caf\xc3\xa9".as_slice(), b" a", b"a ", b"\ta"] {
        parts
            .headers
            .insert("x-note", HeaderValue::from_bytes(bad).unwrap());
        refused(&parts, Code::HttpHeader);
    }
    passes(&h2(&[("x-note", "a\tb c"), ("x-empty", "")]));
}

#[test]
fn deciding_headers_stand_once() {
    for name in ["authorization", "content-type", "signature"] {
        passes(&h1("/a", &[(name, "x")]));
        refused(&h1("/a", &[(name, "x"), (name, "x")]), Code::HttpHeader);
    }
    passes(&h1("/a", &[("accept", "a/b"), ("accept", "c/d")]));
}

#[test]
fn lengths_are_one_plain_number_on_http2_too() {
    passes(&h2(&[("content-length", "0")]));
    for bad in ["+1", "1,1", "01", "", "x", "18446744073709551616"] {
        refused(&h2(&[("content-length", bad)]), Code::HttpLength);
    }
    refused(
        &h2(&[("content-length", "1"), ("content-length", "1")]),
        Code::HttpLength,
    );
}

#[test]
fn bodies_announced_over_the_limit_are_refused() {
    let read = passes(&h1("/a", &[("content-length", "1025")]));
    assert_eq!(
        read.announced_within(1024).unwrap_err().code(),
        Code::HttpBodySize
    );
    assert!(read.announced_within(1025).is_ok());
    assert!(passes(&h1("/a", &[])).announced_within(0).is_ok());
}

#[test]
fn connection_specific_headers_are_refused_on_http2() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
    ] {
        refused(&h2(&[(name, "x")]), Code::HttpHeader);
    }
    refused(&h2(&[("upgrade", "x")]), Code::HttpUpgrade);
    refused(&h2(&[("te", "gzip")]), Code::HttpHeader);
    refused(&h2(&[("te", "trailers, gzip")]), Code::HttpHeader);
    passes(&h2(&[("te", "trailers")]));
    passes(&h1("/a", &[("te", "gzip"), ("connection", "te")]));
}

#[test]
fn upgrades_are_refused_in_every_spelling() {
    for (name, value) in [
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("connection", "Upgrade"),
        ("connection", "close, upgrade"),
    ] {
        refused(&h1("/a", &[(name, value)]), Code::HttpUpgrade);
    }
}

#[test]
fn connection_names_nothing_on_which_a_verdict_rests() {
    for name in [
        "signature",
        "Authorization",
        "content-type",
        "Content-Length",
        "host",
        "x-correlation-id",
        "date",
        "a b",
        "x_y",
        "\"close\"",
    ] {
        refused(&h1("/a", &[("connection", name)]), Code::HttpHeader);
        refused(
            &h1(
                "/a",
                &[
                    ("connection", "close"),
                    ("connection", &format!("x-own ,{name}")),
                ],
            ),
            Code::HttpHeader,
        );
    }
    refused(
        &h1("/a", &[("connection", "X-Triseal-Partner")]),
        Code::HttpSpoofed,
    );
    refused(
        &h1("/a", &[("connection", "keep-alive, client-cert")]),
        Code::HttpSpoofed,
    );
    passes(&h1("/a", &[("connection", "keep-alive, x-own, ,")]));
}

#[test]
fn correlation_ids_are_plain() {
    for good in ["12345678", &"a".repeat(64), "ABC-def-123"] {
        assert_eq!(
            passes(&h1("/a", &[("x-correlation-id", good)])).correlation_id(),
            Some(good)
        );
    }
    for bad in [
        "1234567",
        &"a".repeat(65),
        "1234567_",
        "1234567\"",
        "12345678 9",
        "",
    ] {
        refused(&h1("/a", &[("x-correlation-id", bad)]), Code::HttpHeader);
    }
    let twice = [
        ("x-correlation-id", "12345678"),
        ("x-correlation-id", "12345678"),
    ];
    refused(&h1("/a", &twice), Code::HttpHeader);
}

#[test]
fn only_end_to_end_headers_go_on() {
    let parts = h1(
        "/a",
        &[
            ("accept", "a/b"),
            ("accept", "c/d"),
            ("content-type", "application/json"),
            ("signature", "s"),
            ("authorization", "t"),
            ("connection", "keep-alive, X-Own"),
            ("x-own", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("proxy-connection", "x"),
            ("proxy-authorization", "x"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x-correlation-id", "12345678"),
        ],
    );
    passes(&parts);
    let onward = end_to_end_headers(parts.headers.clone());
    let mut expected = HeaderMap::new();
    for (name, value) in [
        ("accept", "a/b"),
        ("accept", "c/d"),
        ("content-type", "application/json"),
        ("signature", "s"),
        ("authorization", "t"),
    ] {
        expected.append(name, HeaderValue::from_static(value));
    }
    assert_eq!(onward, expected);
    let ending: Vec<_> = hop_by_hop(&parts.headers).collect();
    assert!(ending.contains(&"X-Own") && ending.contains(&"transfer-encoding"));
}

#[test]
fn nothing_that_holds_keys_is_shown_in_debug() {
    let shown = format!(
        "{:?}",
        passes(&h1(
            "/a/LICENCE-KEY?token=QUERY",
            &[("authorization", "BEARER")]
        ))
    );
    assert!(!shown.contains("LICENCE") && !shown.contains("QUERY") && !shown.contains("BEARER"));
}
