//! A credential that is not in its event but in MOSIP's data share: fetched from the declared one, and from nowhere else.
//!
//! A data share counts how often it is asked, so what was fetched is kept with the delivery. Who answers there is not
//! believed: what comes is opened and its proof verified like a credential in an event.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::event::Problem;
use crate::{
    credential::CREDENTIAL_MAX,
    exchange::{
        Gateway, Snapshot,
        outward::{Call, Step},
    },
    refusal::Refusal,
};

/// What encryption and base64 make of the largest credential, and some blanks.
const SHARED_MAX: usize = CREDENTIAL_MAX.saturating_mul(2);

/// Why there is no credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotFetched {
    /// There will be none from there.
    Never(Problem),
    /// Not now; words for an operator.
    Later(String),
}

/// Fetches what an address of the data share leads to.
pub(super) async fn fetch(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    step: Step<'_>,
    address: &str,
) -> Result<String, NotFetched> {
    let never = |word, why: &str| NotFetched::Never(Problem(word, why.to_owned()));
    let share = snapshot.subscriptions().and_then(|all| all.data_share());
    let Some(share) = share else {
        return Err(never(
            "event-no-credential",
            "the credential is in a data share, and none is declared: add [websub.data_share]",
        ));
    };
    let Some(path) = share.path_of(address) else {
        // The address is a secret of its own, and may be anybody's text.
        return Err(never(
            "data-share-address",
            "the event names an address that is not of the data share declared in [websub.data_share]",
        ));
    };
    let call = Call {
        method: Method::GET,
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        media_type: None,
        body: Bytes::new(),
    };
    let asked = gateway
        .call_for(step, snapshot, share.upstream(), share.envelope(), call)
        .await;
    match asked {
        Ok(answer) => judge(answer.status, &answer.body),
        Err(refusal) => Err(NotFetched::Later(not_reached(&refusal))),
    }
}

fn not_reached(refusal: &Refusal) -> String {
    format!("the data share was not reached: {refusal}")
}

/// The credential in an answer, still sealed.
fn judge(status: StatusCode, body: &[u8]) -> Result<String, NotFetched> {
    let never = |word, why: String| Err(NotFetched::Never(Problem(word, why)));
    let number = status.as_u16();
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => {
            return Err(NotFetched::Later(format!(
                "the data share answered {number}"
            )));
        }
        _ if status.is_server_error() => {
            return Err(NotFetched::Later(format!(
                "the data share answered {number}"
            )));
        }
        _ if status.is_redirection() => {
            return never(
                "data-share-redirect",
                format!("the data share answered {number}: redirects are not followed"),
            );
        }
        _ => {
            return never(
                "data-share-refused",
                format!("the data share answered {number}: the share may have expired"),
            );
        }
    }
    if body.len() > SHARED_MAX {
        return never("data-share-form", "the answer is too large".to_owned());
    }
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    // MOSIP's errors come with HTTP 200, as JSON.
    if text.starts_with('{') {
        return never(
            "data-share-refused",
            "the data share answered with an error: the share may have expired".to_owned(),
        );
    }
    if text.is_empty() {
        let why = "the answer is no text of a sealed credential".to_owned();
        return never("data-share-form", why);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(status: u16, body: &[u8]) -> &'static str {
        match judge(StatusCode::from_u16(status).unwrap(), body) {
            Ok(_) => "fetched",
            Err(NotFetched::Later(_)) => "later",
            Err(NotFetched::Never(problem)) => problem.0,
        }
    }

    #[test]
    fn answers_are_fetched_tried_again_or_refused() {
        for (status, body, outcome) in [
            (200, "VkVSX1Iy\n", "fetched"),
            (500, "VkVSX1Iy", "later"),
            (503, "", "later"),
            (401, "", "later"),
            (429, "", "later"),
            (301, "VkVSX1Iy", "data-share-redirect"),
            (307, "", "data-share-redirect"),
            (404, "", "data-share-refused"),
            (204, "", "data-share-refused"),
            (
                200,
                r#"{"errors":[{"errorCode":"DAT-SER-006"}]}"#,
                "data-share-refused",
            ),
            (200, " ", "data-share-form"),
        ] {
            assert_eq!(word(status, body.as_bytes()), outcome, "{status} {body}");
        }
        assert_eq!(word(200, &[0xff; 9]), "data-share-form");
        assert_eq!(word(200, &vec![b'A'; SHARED_MAX + 1]), "data-share-form");
    }
}
