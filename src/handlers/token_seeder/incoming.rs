//! A callback comes: it is stored, then answered. Whether it can be delivered is not its sender's to wait for.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};

use super::{
    is_identifier,
    records::{Delivery, Expected, new_id},
    store_of,
};
use crate::{
    exchange::{Handling, Reply, Trail},
    refusal::{Code, Refusal},
    store::Put,
};

/// Takes a callback.
pub(super) async fn take(
    handling: Handling,
    body: &Bytes,
    trail: &Trail,
) -> Result<Reply, Refusal> {
    if *handling.method() != Method::POST {
        return Err(Refusal::new(Code::MethodNotAllowed, "a callback is a POST"));
    }
    let (callback, delivery) = names(&handling)?;
    let gateway = trail.gateway();
    let store = store_of(gateway)?;
    let unknown = |cause: &str| Refusal::new(Code::SeederUnknown, cause.to_owned());
    let expected = Expected::find(store, &callback)
        .await?
        .ok_or_else(|| unknown("no callback of that name is waited for"))?;
    // A gateway that we sent the request to is a party with a name; the token seeder itself is not.
    if let Some(party) = handling.snapshot().peer_of(&expected.sent_to)
        && party.id() != handling.caller().partner().id().as_str()
    {
        return Err(unknown("this callback is waited for from somebody else"));
    }
    let media_type = handling
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let delivery = Delivery {
        callback,
        id: match delivery {
            Some(id) => id,
            // The token seeder itself never delivers twice.
            None => new_id()?,
        },
        media_type,
        body: STANDARD.encode(body),
    };
    let known = match delivery.put(store, gateway.clock().now()).await? {
        Put::Stored => &b"{\"stored\":true}"[..],
        Put::Known(_) => &b"{\"stored\":true,\"known\":true}"[..],
    };
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
    Ok(handling.answer(StatusCode::OK, headers, Bytes::from_static(known)))
}

/// The callback, and the delivery where the route has a place for it.
fn names(handling: &Handling) -> Result<(String, Option<String>), Refusal> {
    let segments: Vec<&str> = handling.near().path().split('/').skip(1).collect();
    let pattern = handling.route().path();
    let captures = pattern
        .matches(&segments)
        .ok_or_else(|| Refusal::new(Code::Fault, "the path does not fit its route"))?;
    let name = |name| {
        pattern
            .capture(name, &captures)
            .filter(|text| is_identifier(text))
            .map(str::to_owned)
    };
    let callback = name("callback")
        .ok_or_else(|| Refusal::new(Code::SeederUnknown, "no name of a callback in the path"))?;
    let delivery = name("delivery");
    if delivery.is_none() && pattern.captures().any(|capture| capture == "delivery") {
        let cause = "no name of a delivery in the path";
        return Err(Refusal::new(Code::SeederUnknown, cause));
    }
    Ok((callback, delivery))
}
