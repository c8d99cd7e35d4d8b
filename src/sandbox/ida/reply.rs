//! IDA's answers: the envelope around every one of them, and the shape of a failed one by route (reference, sections 2.8
//! and 3.1).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    failure::{Failure, Stop},
    filter::scalar,
    route::Route,
    time,
};
use crate::clock::Moment;

/// The body of an answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply {
    #[serde(rename = "transactionID")]
    pub(super) transaction_id: Option<String>,
    version: &'static str,
    id: Option<&'static str>,
    pub(super) errors: Option<Vec<Failure>>,
    response_time: String,
    response: Value,
}

impl Reply {
    /// A verdict or a result.
    pub(super) fn new(
        route: Route,
        request: &Map<String, Value>,
        response: Value,
        errors: Vec<Failure>,
        now: Moment,
    ) -> Self {
        Self {
            transaction_id: scalar(request, "transactionID").map(str::to_owned),
            version: "1.0",
            id: route.id(),
            errors: (!errors.is_empty()).then_some(errors),
            response_time: time::format(now, scalar(request, "requestTime")),
            response,
        }
    }

    /// An exchange that ended early.
    pub(super) fn stopped(
        route: Route,
        request: &Map<String, Value>,
        stop: Stop,
        now: Moment,
    ) -> Self {
        Self::new(route, request, failed(route), stop.errors(), now)
    }
}

/// `response` where nothing was decided.
fn failed(route: Route) -> Value {
    match route {
        Route::Kyc => json!({"kycStatus": false}),
        Route::Otp | Route::VciExchange => Value::Null,
        Route::KycExchange => json!({}),
        Route::Auth | Route::KycAuth | Route::KeyBinding => {
            json!({"authStatus": false, "authToken": null})
        }
    }
}
