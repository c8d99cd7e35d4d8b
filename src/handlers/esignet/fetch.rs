//! Fetches E-Signet's keys and documents ahead, again and again.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::{
    exchange::{
        Gateway,
        errands::Doer,
        esignet::{Documents, Esignet},
        outward::Call,
    },
    store::{Errand, Settlement},
};

/// Has no errands; what it does, it does again and again.
#[derive(Debug)]
pub struct FetchKeys;

impl Doer for FetchKeys {
    fn kind(&self) -> &'static str {
        "esignet-keys"
    }

    fn attempt<'a>(
        &'a self,
        _: &'a Arc<Gateway>,
        _: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        let reason = "there are no errands of this kind".to_owned();
        Box::pin(std::future::ready(Settlement::Park { reason }))
    }

    fn tend<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let snapshot = gateway.snapshot();
            let Some(esignet) = snapshot.esignet() else {
                return;
            };
            for which in esignet.due(gateway.clock().now()) {
                let call = Call {
                    method: Method::GET,
                    path_and_query: esignet.path(which.path()),
                    headers: HeaderMap::new(),
                    media_type: None,
                    body: Bytes::new(),
                };
                let (upstream, envelope) = esignet.way();
                let answer = gateway
                    .call(&snapshot, upstream, envelope, call, "fetch-ahead")
                    .await;
                let body = match answer {
                    Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
                    Ok(answer) => Err(format!("HTTP {}", answer.status.as_u16())),
                    Err(refusal) => Err(refusal.to_string()),
                };
                take(gateway, esignet, which, body);
            }
        })
    }
}

fn take(gateway: &Gateway, esignet: &Esignet, which: Documents, body: Result<Bytes, String>) {
    let now = gateway.clock().now();
    let taken = body.and_then(|body| esignet.fetched(which, &body, now).map_err(str::to_owned));
    if let Err(why) = taken {
        esignet.not_fetched(which, now);
        tracing::warn!(document = ?which, why, "E-Signet's document was not fetched; the last good one stays");
    }
}
