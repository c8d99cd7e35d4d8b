//! The seeder on a socket: which path is what.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    Mts, file, mapping, multipart,
    request::{self, Asked, Output},
    wire::{self, Refused},
};
use crate::sandbox::{
    ida::IdaAnswer,
    server::{Caller, Handler},
    web,
};

/// [`Mts`] for [`crate::sandbox::server::serve`].
#[derive(Clone, Debug)]
pub struct MtsService(Arc<Mts>);

impl MtsService {
    /// Puts it there.
    pub const fn new(mts: Arc<Mts>) -> Self {
        Self(mts)
    }
}

#[async_trait]
impl Handler for MtsService {
    async fn handle(&self, _: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let mts = &*self.0;
        let body = request.body();
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/authtoken/json") => mts.take(request::read(body)).await,
            (&Method::POST, "/authtoken/csv") => mts.take(beside_csv(&request)).await,
            (&Method::POST, "/authtoken/odk") => mts.take(Err(request::refuse_odk(body))).await,
            (&Method::GET, "/authtoken/authfields") => {
                let fields = |names: &[&str], mandatory: bool| -> Vec<Value> {
                    names
                        .iter()
                        .map(|name| json!({"name": name, "mandatory": mandatory}))
                        .collect()
                };
                let mut all = fields(&["vid"], true);
                all.extend(fields(&mapping::MANDATORY, true));
                all.extend(fields(&mapping::OPTIONAL, false));
                wire::answer(&json!(all), mts.clock.now())
            }
            (&Method::GET, "/ping") => web::json(StatusCode::OK, &json!("pong")),
            (&Method::GET, "/sandbox/health") => {
                web::json(StatusCode::OK, &json!({"status": "UP"}))
            }
            (&Method::GET, path) => {
                if let Some(id) = path.strip_prefix("/authtoken/status/") {
                    mts.status(id)
                } else if let Some(id) = path.strip_prefix("/authtoken/file/") {
                    mts.file(id)
                } else {
                    nowhere()
                }
            }
            _ => nowhere(),
        }
    }
}

impl Mts {
    async fn take(&self, asked: Result<Asked, Refused>) -> IdaAnswer {
        let now = self.clock.now();
        let submitted = match asked {
            Ok(asked) => self.submit(asked).await,
            Err(refused) => Err(refused),
        };
        match submitted {
            Ok((id, true)) => wire::answer(&json!({"request_identifier": id}), now),
            // An error and an identifier with 200, as the real one does it.
            Ok((id, false)) => Refused::new(200, "ATS-REQ-101", "none of the records is valid")
                .answer(&json!({"request_identifier": id}), now),
            Err(refused) => refused.answer(&Value::Null, now),
        }
    }

    fn status(&self, id: &str) -> IdaAnswer {
        let now = self.clock.now();
        match self.lock().get(id, now) {
            Some(job) => wire::answer(&json!({"status": job.status}), now),
            None => unknown().answer(&Value::Null, now),
        }
    }

    fn file(&self, id: &str) -> IdaAnswer {
        let now = self.clock.now();
        let requests = self.lock();
        let Some(job) = requests
            .get(id, now)
            .filter(|job| job.asked.callback.is_none())
        else {
            return unknown().answer(&Value::Null, now);
        };
        match &job.file {
            None => Refused::new(202, "ATS-REQ-017", "the request is not processed yet")
                .answer(&Value::Null, now),
            Some(file) => {
                let media = match job.asked.output {
                    Output::Json => "application/json",
                    Output::Csv => "text/csv",
                };
                web::answer(StatusCode::OK, media, file.clone())
            }
        }
    }
}

fn beside_csv(request: &Request<Bytes>) -> Result<Asked, Refused> {
    let content_type = web::header(request.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
    let parts = multipart::parts(content_type, request.body())
        .ok_or_else(|| Refused::malformed("the body is no multipart form"))?;
    let part = |wanted: &str| {
        parts
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, content)| *content)
            .ok_or_else(|| Refused::malformed(format!("{wanted}: field required")))
    };
    let csv = part("csv_file")?;
    request::read_beside(part("request")?, |delimiter| file::records(csv, delimiter))
}

fn unknown() -> Refused {
    Refused::new(404, "ATS-REQ-016", "there is no such request")
}

fn nowhere() -> IdaAnswer {
    web::json(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"}))
}
