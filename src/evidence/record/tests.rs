//! What records look like.

use super::*;

const fn of(digest: Hash, bytes: u64) -> BodySeen {
    BodySeen {
        digest: Some(digest),
        bytes,
    }
}

fn read(draft: &Draft<'_>) -> serde_json::Value {
    serde_json::from_slice(&head(Moment::from_s(0), false, &rest(draft, None))).unwrap()
}

#[test]
fn a_record_is_one_line_of_json_with_its_members_in_order() {
    let receipt = Receipt {
        leaf: [1; 32],
        signature: http::HeaderValue::from_static("a..b"),
    };
    let draft = Draft {
        gateway: "misp",
        correlation_id: "abc",
        face: Some("partners"),
        errand: None,
        route: Some("ida-auth"),
        method: Some("POST"),
        caller: Some(CallerSeen {
            id: "crvs",
            organisation: "Civil \"Registry\"\n",
            kind: "auth",
            how: "certificate",
            policy: Some("ekyc"),
        }),
        peer: None,
        tls: Some("00ff"),
        signer: Some(Fingerprint::from_bytes([0xab; 32])),
        request_body: Some(of([2; 32], 7)),
        signature: Some(b"x..y"),
        revocation_json: Some("[]"),
        configuration_json: Some("{}"),
        policy_json: Some("{}"),
        facts_json: Some("{}"),
        code: None,
        upstream: Some(UpstreamSeen {
            name: "ida",
            status: Some(200),
            us: 5,
            receipt: Some(&receipt),
        }),
        status: Some(200),
        answer_body: Some(of([3; 32], 9)),
        streamed: false,
        us: 11,
    };
    let line = head(Moment::from_s(0), true, &rest(&draft, None));
    let text = std::str::from_utf8(&line).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let read: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(read["caller"]["organisation"], "Civil \"Registry\"\n");
    assert_eq!(read["upstream"]["receipt"]["signature"], "a..b");
    assert_eq!(read["signer"], "ab".repeat(32));
    let order = [
        "v",
        "time",
        "clockBack",
        "gateway",
        "correlationId",
        "face",
        "route",
        "method",
        "caller",
        "tls",
        "signer",
        "request",
        "revocation",
        "configuration",
        "policy",
        "facts",
        "verdict",
        "upstream",
        "answer",
        "us",
    ];
    let mut from = 0;
    for name in order {
        let at = text[from..].find(&format!("\"{name}\":"));
        from += at.unwrap_or_else(|| panic!("{name} is missing or out of order"));
    }
}

#[test]
fn a_refusal_of_a_stream_says_so() {
    let draft = Draft {
        code: Some("RT-001"),
        status: Some(404),
        streamed: true,
        ..Draft::default()
    };
    let line = head(Moment::from_s(0), false, &rest(&draft, None));
    let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(read["verdict"], "refused");
    assert_eq!(
        read["answer"],
        serde_json::json!({"status": 404, "streamed": true})
    );
    assert!(read.get("clockBack").is_none() && read.get("request").is_none());
}
#[test]
fn a_call_of_our_own_names_its_errand_and_the_peer_and_whether_it_was_answered() {
    let mut draft = Draft {
        errand: Some(ErrandSeen {
            kind: "opencrvs",
            number: 7,
            step: "received",
            attempt: 2,
            cause: None,
        }),
        peer: Some(PeerSeen {
            id: "misp",
            organisation: "MISP One",
        }),
        status: Some(200),
        answer_body: Some(BodySeen {
            digest: None,
            bytes: 9,
        }),
        ..Draft::default()
    };
    let record = read(&draft);
    let errand =
        serde_json::json!({"kind": "opencrvs", "number": 7, "step": "received", "attempt": 2});
    assert_eq!(record["errand"], errand);
    assert_eq!(record["verdict"], "answered");
    assert_eq!(
        record["answer"],
        serde_json::json!({"status": 200, "bodyBytes": 9})
    );
    assert!(record.get("face").is_none() && record.get("caller").is_none());
    assert_eq!(draft.partner(), "misp");
    draft.code = Some("UP-006");
    draft.status = None;
    assert_eq!(read(&draft)["verdict"], "failed");
    assert!(read(&draft).get("answer").is_none());
    draft.code = None;
    assert_eq!(read(&draft)["verdict"], "taken");
}
