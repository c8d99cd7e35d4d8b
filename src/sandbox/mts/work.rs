//! The worker: one request after the other, from a queue in memory that a restart forgets, as the real one's does.

use std::sync::Weak;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    KEPT_S, Mts, callback, file, jq,
    mapping::Question,
    request::{Asked, Output},
    wire::Refused,
};
use crate::sandbox::wire::uuid;

/// A request with what has become of it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) asked: Asked,
    pub(super) status: &'static str,
    /// The file, once it is there.
    pub(super) file: Option<Vec<u8>>,
    records: Vec<Record>,
}

/// A record with its VID, and the question about it or why there is none.
type Record = (String, Result<Question, (String, String)>);

impl Mts {
    /// Takes a request on: its identifier, and whether any record of it is valid.
    pub(super) async fn submit(&self, asked: Asked) -> Result<(String, bool), Refused> {
        let mut records = Vec::with_capacity(asked.records.len());
        for record in &asked.records {
            let (vid, question) = asked.mapping.question(record, &asked.language).await;
            records.push((
                vid,
                question.map_err(|(code, text)| (code.to_owned(), text)),
            ));
        }
        let valid = records.iter().any(|(_, question)| question.is_ok());
        let all_valid = records.iter().all(|(_, question)| question.is_ok());
        let unknown = |what| Refused::new(500, "ATS-REQ-100", what);
        let id = uuid().map_err(|_| unknown("no random bytes"))?;
        let job = Job {
            asked,
            status: if all_valid {
                "submitted"
            } else {
                "submitted_with_errors"
            },
            file: None,
            records,
        };
        let now = self.clock.now();
        let until = now.plus_ms(KEPT_S.saturating_mul(1000));
        self.lock().put(id.clone(), job, until, now);
        if valid && self.queue.try_send(id.clone()).is_err() {
            return Err(unknown("the queue is full"));
        }
        Ok((id, valid))
    }

    async fn work(&self, id: &str) {
        let Some((asked, records)) = self.begin(id) else {
            return;
        };
        let (mut outputs, mut failed) = (Vec::new(), false);
        for ((vid, question), record) in records.into_iter().zip(&asked.records) {
            let output = self.token(&vid, question);
            failed |= output.get("token").is_none_or(Value::is_null);
            let context = json!({"input": record, "output": output});
            outputs.push(jq::first(&asked.format, &context).await);
        }
        let result = match asked.output {
            Output::Json => Value::Array(outputs.clone()).to_string().into_bytes(),
            Output::Csv => file::csv(&outputs, asked.delimiter).into_bytes(),
        };
        let mut status = if failed {
            "processed_with_errors"
        } else {
            "processed"
        };
        if let Some(callback) = &asked.callback
            && callback::deliver(callback, asked.output, &outputs, &result)
                .await
                .is_err()
        {
            status = "error_making_callback_request";
        }
        let now = self.clock.now();
        if let Some(job) = self.lock().get_mut(id, now) {
            job.status = status;
            job.file = job.asked.callback.is_none().then_some(result);
        }
    }

    fn begin(&self, id: &str) -> Option<(Asked, Vec<Record>)> {
        let now = self.clock.now();
        let mut requests = self.lock();
        let job = requests.get_mut(id, now)?;
        job.status = "processing";
        Some((job.asked.clone(), std::mem::take(&mut job.records)))
    }

    /// What is said about a record.
    fn token(&self, vid: &str, question: Result<Question, (String, String)>) -> Value {
        let answered = match question {
            Err((code, text)) => Err(("invalid", code, text)),
            Ok(question) => self
                .ida
                .seed(
                    &self.config.partner,
                    &question.vid,
                    question.demographics,
                    self.clock.now(),
                )
                .map_err(|errors| {
                    let (code, text) = joined(errors);
                    ("error", code, text)
                }),
        };
        match answered {
            Ok(token) => json!({
                "vid": vid, "status": "processed", "token": token,
                "errorCode": null, "errorMessage": null,
            }),
            Err((status, code, text)) => json!({
                "vid": vid, "status": status, "token": null,
                "errorCode": code, "errorMessage": text,
            }),
        }
    }
}

/// One error passes through, several become one.
fn joined(mut errors: Vec<(String, String)>) -> (String, String) {
    if errors.len() == 1
        && let Some(one) = errors.pop()
    {
        return one;
    }
    let all: Vec<String> = errors
        .iter()
        .map(|(code, text)| format!("{code}::{text}"))
        .collect();
    ("ATS-REQ-103".to_owned(), all.join(","))
}

/// Works until the last handle is gone.
pub(super) async fn worker(mts: Weak<Mts>, mut waiting: mpsc::Receiver<String>) {
    while let Some(id) = waiting.recv().await {
        let Some(mts) = mts.upgrade() else {
            return;
        };
        mts.work(&id).await;
    }
}
