//! Each line of the field guide's section 3.4 that is about framing, with its near miss, at every split.

use super::{HEAD_MAX, HEADERS_MAX, Outcome, feed, with};
use crate::{edge::gate::Stage, refusal::Code};

/// Feeds the bytes whole, cut in two at every position, and one by one; the outcome must not differ.
fn judge(bytes: &[u8]) -> (Outcome, Stage) {
    let whole = feed([bytes]);
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(
            feed([first, second]),
            whole,
            "cut at {cut}: {}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(feed(bytes.chunks(1)), whole, "{}", bytes.escape_ascii());
    whole
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, code: Code) {
    let bytes = bytes.as_ref();
    let (outcome, _) = judge(bytes);
    assert_eq!(outcome.refused, Some(code), "{}", bytes.escape_ascii());
    if outcome.heads == 0 {
        assert_eq!(outcome.passed, b"", "nothing of a bad head passes");
    }
}

#[track_caller]
fn passes(bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    let (outcome, stage) = judge(bytes);
    assert_eq!(outcome.refused, None, "{}", bytes.escape_ascii());
    assert_eq!(outcome.passed, bytes);
    assert_eq!(stage, Stage::Between);
}

fn line(request_line: &str) -> String {
    format!("{request_line}\r\nHost: gate.example\r\n\r\n")
}

#[test]
fn plain_requests_pass() {
    passes(line("GET / HTTP/1.1"));
    passes(line("DELETE /a/b-c/~d?x=1&y=%20/? HTTP/1.1"));
    passes(with("Content-Length: 0"));
    passes(with("Content-Length: 5") + "hello");
    passes(with("Transfer-Encoding: chunked") + "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n");
    passes(with("transfer-encoding:\t CHUNKED ") + "0000000000000001\r\nx\r\n00\r\n\r\n");
    passes(with("Expect: 100-Continue\r\nContent-Length: 1") + "x");
    passes(with("X-Empty:\r\nX-Tab: a\tb"));
}

#[test]
fn pipelined_requests_pass() {
    let two = with("Content-Length: 5") + "hello" + &line("GET /next HTTP/1.1");
    passes(two.repeat(3));
    assert_eq!(feed([two.as_bytes()]).0.heads, 2);
}

#[test]
fn what_follows_a_body_is_a_head() {
    refused(with("Content-Length: 4") + "hello", Code::HttpMalformed);
    let (outcome, _) = feed([(with("Content-Length: 4") + "hellO").as_bytes()]);
    assert!(outcome.passed.ends_with(b"hell"));
}

#[test]
fn bare_line_feeds_are_refused() {
    refused("GET / HTTP/1.1\nHost: a\n\n", Code::HttpMalformed);
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n", Code::HttpMalformed);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\n", Code::HttpMalformed);
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
        Code::HttpMalformed,
    );
    refused("GET /\n", Code::HttpMalformed);
}

#[test]
fn bare_carriage_returns_and_nul_are_refused() {
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", Code::HttpMalformed);
    refused("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", Code::HttpMalformed);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\rX", Code::HttpMalformed);
    refused(with("X: a\0b"), Code::HttpMalformed);
    refused(with("X\0: a"), Code::HttpMalformed);
    refused("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Code::HttpMalformed);
}

#[test]
fn lines_before_the_request_line_are_refused() {
    refused("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Code::HttpMalformed);
    refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Code::HttpMalformed);
    refused(with("Content-Length: 1") + "x\r\n", Code::HttpMalformed);
}

#[test]
fn request_lines_have_exactly_one_space_between_three_parts() {
    for bad in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / x HTTP/1.1",
        "GET /",
        "GET",
    ] {
        refused(line(bad), Code::HttpMalformed);
    }
    refused(line("GET /\tHTTP/1.1"), Code::HttpPath);
}

#[test]
fn methods_are_upper_case_letters() {
    for bad in ["get", "Get", "G-T", "G1", "", "ABCDEFGHIJKLMNOPQ"] {
        refused(line(&format!("{bad} / HTTP/1.1")), Code::HttpMalformed);
    }
    passes(line("ABCDEFGHIJKLMNOP / HTTP/1.1"));
}

#[test]
fn only_version_1_1_is_spoken() {
    for other in ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2"] {
        refused(line(&format!("GET / {other}")), Code::HttpUpgrade);
    }
    for bad in [
        "HTTP/1.",
        "HTTP/1.11",
        "http/1.1",
        "HTTP/x.1",
        "HTTP/1,1",
        "HTTQ/1.1",
        "",
    ] {
        refused(line(&format!("GET / {bad}")), Code::HttpMalformed);
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Code::HttpPath);
}

#[test]
fn upgrade_connect_and_trace_are_refused() {
    refused(line("CONNECT a:443 HTTP/1.1"), Code::HttpUpgrade);
    refused(line("TRACE / HTTP/1.1"), Code::HttpUpgrade);
    refused(with("Upgrade: websocket"), Code::HttpUpgrade);
    refused(with("uPGRADE: h2c"), Code::HttpUpgrade);
    refused(with("HTTP2-Settings: AAMAAABk"), Code::HttpUpgrade);
    passes(with("Upgrade-Insecure-Requests: 1"));
}

#[test]
fn only_the_origin_form_of_a_target_is_taken() {
    for bad in [
        "http://gate.example/",
        "https://other.example/a",
        "gate.example:443",
        "*",
        "a",
        "?x",
        "\\a",
    ] {
        refused(line(&format!("GET {bad} HTTP/1.1")), Code::HttpPath);
    }
}

#[test]
fn targets_are_plain_ascii_without_fragment() {
    for bad in [
        "/a#b", "/a\\b", "/a\"b", "/<a>", "/{a}", "/a|b", "/a^b", "/`", "/\u{e9}", "/a\u{7f}",
        "/a\u{1}", "/a?b#c", "/a?b\\c", "/[a]",
    ] {
        refused(line(&format!("GET {bad} HTTP/1.1")), Code::HttpPath);
    }
}

#[test]
fn field_names_are_letters_digits_and_hyphens() {
    for bad in [
        "X_Y: a",
        "X.Y: a",
        "X Y: a",
        "X : a",
        ": a",
        "X\u{e9}: a",
        "(X): a",
        "X\t: a",
    ] {
        refused(with(bad), Code::HttpHeader);
    }
    refused(with("NoColon"), Code::HttpMalformed);
    refused(with(&format!("{}: a", "x".repeat(129))), Code::HttpHeader);
    passes(with(&format!("{}: a", "x".repeat(128))));
}

#[test]
fn folded_lines_are_refused() {
    refused(with("X: a\r\n b"), Code::HttpMalformed);
    refused(with("X: a\r\n\tb: c"), Code::HttpMalformed);
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Code::HttpMalformed);
}

#[test]
fn field_values_are_visible_ascii() {
    for bad in [
        "X: a\u{1}",
        "X: \u{7f}",
        "X: caf\u{e9}",
        "X: a\u{b}b",
        "X: a\u{1b}[0m",
    ] {
        refused(with(bad), Code::HttpHeader);
    }
    // At each place within and behind the blocks that are looked at together.
    for at in 0..40 {
        let mut value = vec![b'v'; 40];
        value[at] = 0x80;
        let head = [
            b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
            value.as_slice(),
            b"\r\n\r\n",
        ]
        .concat();
        refused(head, Code::HttpHeader);
    }
}

#[test]
fn exactly_one_well_formed_host_is_demanded() {
    refused("GET / HTTP/1.1\r\n\r\n", Code::HttpHost);
    refused("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Code::HttpHost);
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Code::HttpHost,
    );
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        Code::HttpHost,
    );
    for bad in [
        "", "a b", "a,b", "a/b", "u@a", "a:", "a:b", "a:123456", "a:1:2", ":80", "[::1", "[]",
        "[::1]x", "[g]", "a#b", "a?b", "http://a",
    ] {
        refused(
            format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n"),
            Code::HttpHost,
        );
    }
    for good in [
        "a",
        "A.b-c:8443",
        "127.0.0.1:80",
        "[::1]",
        "[2001:db8::1]:443",
        "svc_1",
    ] {
        passes(format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n"));
    }
}

#[test]
fn lengths_are_one_plain_number() {
    for bad in [
        "+1",
        "-1",
        "1,1",
        "1, 1",
        "0x1",
        "1 1",
        "",
        " ",
        "01",
        "00",
        "1.0",
        "1e1",
        "1;q",
        "10000000000000000000",
        "99999999999999999999",
    ] {
        refused(
            with(&format!("Content-Length: {bad}")) + "x",
            Code::HttpLength,
        );
    }
    let (outcome, stage) = judge(with("Content-Length: 9999999999999999999").as_bytes());
    assert_eq!((outcome.refused, stage), (None, Stage::Body));
}

#[test]
fn repeated_lengths_are_refused_even_when_equal() {
    refused(
        with("Content-Length: 1\r\nContent-Length: 1") + "x",
        Code::HttpLength,
    );
    refused(
        with("Content-Length: 0\r\ncontent-length: 0"),
        Code::HttpLength,
    );
    refused(
        with("Content-Length: 1\r\nContent-Length: 2") + "x",
        Code::HttpLength,
    );
}

#[test]
fn a_length_with_a_transfer_coding_is_refused() {
    // CL.TE and TE.CL
    let body = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    refused(
        with("Content-Length: 6\r\nTransfer-Encoding: chunked") + body,
        Code::HttpLength,
    );
    refused(
        with("Transfer-Encoding: chunked\r\nContent-Length: 6") + body,
        Code::HttpLength,
    );
    refused(
        with("Content-Length: 0\r\nTransfer-Encoding: identity") + body,
        Code::HttpLength,
    );
}

#[test]
fn transfer_codings_other_than_a_lone_chunked_are_refused() {
    // TE.TE
    for bad in [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunke",
        "chunkedx",
        "chunked,",
        ",chunked",
        "x",
        "",
    ] {
        refused(
            with(&format!("Transfer-Encoding: {bad}")) + "0\r\n\r\n",
            Code::HttpChunked,
        );
    }
    for (bad, code) in [
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Code::HttpChunked,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            Code::HttpChunked,
        ),
        ("Transfer-Encoding : chunked", Code::HttpHeader),
        ("Transfer-Encoding\t: chunked", Code::HttpHeader),
        ("Transfer_Encoding: chunked", Code::HttpHeader),
        (" Transfer-Encoding: chunked", Code::HttpMalformed),
        ("Transfer-Encoding:\u{b}chunked", Code::HttpHeader),
        ("Transfer-Encoding: \u{0}chunked", Code::HttpMalformed),
        ("Transfer-Encoding:\r\n chunked", Code::HttpChunked),
        ("X: y\rTransfer-Encoding: chunked", Code::HttpMalformed),
        ("X: y\nTransfer-Encoding: chunked", Code::HttpMalformed),
        ("Transfer\r-Encoding: chunked", Code::HttpMalformed),
    ] {
        refused(with(bad) + "0\r\n\r\n", code);
    }
}

#[test]
fn chunks_are_plain() {
    for bad in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\rX",
        "5\r\nhello\r\n0;x\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "G\r\n",
    ] {
        refused(with("Transfer-Encoding: chunked") + bad, Code::HttpChunked);
    }
    // The largest size that can be said, not wrapped round.
    let (outcome, stage) =
        judge((with("Transfer-Encoding: chunked") + "ffffffffffffffff\r\nx").as_bytes());
    assert_eq!((outcome.refused, stage), (None, Stage::Body));
}

#[test]
fn announced_trailers_are_refused() {
    refused(
        with("Trailer: X\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
        Code::HttpChunked,
    );
}

#[test]
fn only_100_continue_is_expected() {
    refused(with("Expect: 200-ok"), Code::HttpExpect);
    refused(with("Expect: 100-continue, x"), Code::HttpExpect);
    refused(
        with("Expect: 100-continue\r\nExpect: 100-continue"),
        Code::HttpExpect,
    );
}

#[test]
fn heads_up_to_the_limit_pass_and_one_byte_more_does_not() {
    let fill = HEAD_MAX - with("X: ").len();
    passes(with(&format!("X: {}", "v".repeat(fill))));
    refused(
        with(&format!("X: {}", "v".repeat(fill + 1))),
        Code::HttpHeadSize,
    );
    refused(format!("GET /{}", "a".repeat(HEAD_MAX)), Code::HttpHeadSize);
    // The limit is that of one head, not of a connection.
    passes(with("Content-Length: 1") + "x" + &with(&format!("X: {}", "v".repeat(fill))).repeat(2));
}

#[test]
fn fields_up_to_the_limit_pass_and_one_more_does_not() {
    let fields = |n: usize| with(&vec!["X: y"; n].join("\r\n"));
    passes(fields(HEADERS_MAX - 1));
    refused(fields(HEADERS_MAX), Code::HttpHeadSize);
}

#[test]
fn a_stream_ends_well_only_between_two_requests() {
    for (bytes, code) in [
        (String::new(), None),
        (line("GET / HTTP/1.1"), None),
        ("G".to_owned(), Some(Code::HttpMalformed)),
        (with("Content-Length: 2") + "x", Some(Code::HttpBodyCut)),
        (
            with("Transfer-Encoding: chunked") + "0\r\n",
            Some(Code::HttpBodyCut),
        ),
    ] {
        let mut machine = super::Framing::new(HEAD_MAX, HEADERS_MAX);
        let mut rest = bytes.as_bytes();
        loop {
            let length = match machine.step(rest).unwrap() {
                super::Step::More => break,
                super::Step::Head(n) | super::Step::Content(n) | super::Step::Mark(n) => n,
            };
            rest = &rest[length..];
        }
        machine.end();
        assert_eq!(machine.refused(), code, "{bytes:?}");
    }
}

#[test]
fn nothing_passes_after_a_refusal() {
    let (outcome, _) = feed([
        with("Transfer-Encoding: chunked").as_bytes(),
        b"x",
        line("GET / HTTP/1.1").as_bytes(),
    ]);
    assert_eq!(
        outcome.passed,
        with("Transfer-Encoding: chunked").as_bytes()
    );
    assert_eq!(outcome.refused, Some(Code::HttpChunked));
}
