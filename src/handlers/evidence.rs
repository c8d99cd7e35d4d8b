//! Handler `evidence`: a partner fetches its own records and their proofs, and the heads of the log with proofs that they extend one
//! another. Whose a record is stands in the record; another partner's is answered like one that does not exist.
//!
//! ```text
//! GET …/records?from=&until=&limit=   own records: number, time, route, verdict, code, correlation id, leaf hash
//! GET …/records/<correlation id>      a bundle (docs/evidence.md); several records of that id: the last one
//! GET …/head                          the newest signed head, and the certificate that signed it
//! GET …/consistency?from=N[&to=M]     the newest head (or one over at least M), and the proof that it extends the tree over N
//! ```

use std::{future::Future, path::Path, pin::Pin};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::form::Fields;
use crate::{
    clock::Moment,
    evidence::{
        assemble::{self, AssembleError, Extras},
        bundle, merkle,
        reader::{Log, Query, ReadError},
        verify::{self, Head},
    },
    exchange::{Content, Handler, Permitted, RefusalAnswer, Reply, Snapshot, Trail, plain_refusal},
    refusal::{Code, Refusal},
};

/// Records in one list.
const LIST_MAX: usize = 1000;
/// Records in one list, where nothing else is asked for.
const LIST: usize = 100;
/// A correlation id is no longer than this.
const ID_MAX: usize = 128;
/// The most that revocation lists may have in an answer, in bytes.
const LISTS_MAX: usize = 4 << 20;

/// Serves a partner its own evidence.
#[derive(Debug)]
pub struct Evidence;

impl Handler for Evidence {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let (content, handling) = permitted.begin(trail);
            // Nothing is asked in a body; dropping it is all there is to do.
            drop::<Content>(content);
            if *handling.method() != Method::GET {
                return Err(Refusal::new(
                    Code::MethodNotAllowed,
                    "evidence is read only",
                ));
            }
            let folder = trail.gateway().evidence().map(|e| e.folder().to_path_buf());
            let folder = folder
                .ok_or_else(|| Refusal::new(Code::Fault, "an evidence route without [evidence]"))?;
            let partner = handling.caller().partner().id().as_str().to_owned();
            let question = ask(handling.near().path(), handling.near().query())?;
            let snapshot = std::sync::Arc::clone(handling.snapshot());
            let answer =
                tokio::task::spawn_blocking(move || answer(&folder, &partner, question, &snapshot));
            let answer = answer.await;
            let answer =
                answer.map_err(|_| Refusal::new(Code::Fault, "reading evidence failed"))??;
            let json = HeaderValue::from_static("application/json");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
            Ok(handling.answer(StatusCode::OK, headers, Bytes::from(answer)))
        })
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Records {
        from: Option<Moment>,
        until: Option<Moment>,
        limit: usize,
    },
    Record(String),
    Head,
    Consistency {
        from: u64,
        to: Option<u64>,
    },
}

fn unknown(cause: &str) -> Refusal {
    Refusal::new(Code::EvidenceUnknown, cause)
}

fn ask(path: &str, query: Option<&str>) -> Result<Question, Refusal> {
    let asked = Asked::read(query.unwrap_or_default())?;
    let mut end = path.rsplit('/');
    let (last, before) = (
        end.next().unwrap_or_default(),
        end.next().unwrap_or_default(),
    );
    match (before, last) {
        (_, "records") => {
            let limit = number(asked.limit)?.map(|n| usize::try_from(n).unwrap_or(LIST_MAX));
            let question = Question::Records {
                from: time(asked.from)?,
                until: time(asked.until)?,
                limit: limit.unwrap_or(LIST).min(LIST_MAX),
            };
            asked
                .to
                .map_or(Ok(question), |_| Err(form("`to` is for consistency")))
        }
        ("records", id) if id.len() <= ID_MAX && query.is_none() => {
            Ok(Question::Record(id.to_owned()))
        }
        (_, "head") if query.is_none() => Ok(Question::Head),
        (_, "consistency") if asked.until.is_none() && asked.limit.is_none() => {
            Ok(Question::Consistency {
                from: number(asked.from)?.ok_or_else(|| form("`from` is missing"))?,
                to: number(asked.to)?,
            })
        }
        _ => Err(unknown("no such thing below the evidence route")),
    }
}

#[derive(Default)]
struct Asked {
    from: Option<String>,
    until: Option<String>,
    to: Option<String>,
    limit: Option<String>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Refusal> {
        let broken = "a parameter that stands twice or is not encoded properly, or too many";
        let fields = Fields::parse(query).ok_or_else(|| form(broken))?;
        let mut asked = Self::default();
        for (name, value) in fields.iter() {
            let place = match name {
                "from" => &mut asked.from,
                "until" => &mut asked.until,
                "to" => &mut asked.to,
                "limit" => &mut asked.limit,
                _ => return Err(form("a parameter that is not known")),
            };
            *place = Some(value.to_owned());
        }
        Ok(asked)
    }
}

fn form(cause: &'static str) -> Refusal {
    Refusal::new(Code::EvidenceQuery, cause)
}

fn number(text: Option<String>) -> Result<Option<u64>, Refusal> {
    text.map(|text| {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| plain);
        number.ok_or_else(|| form("no number"))
    })
    .transpose()
}

fn time(text: Option<String>) -> Result<Option<Moment>, Refusal> {
    text.map(|text| verify::moment(&text).ok_or_else(|| form("no time")))
        .transpose()
}

/// Reads the log. Blocks.
fn answer(
    folder: &Path,
    partner: &str,
    question: Question,
    snapshot: &Snapshot,
) -> Result<Vec<u8>, Refusal> {
    let log = Log::open(folder).map_err(|e| read(&e))?;
    match question {
        Question::Records { from, until, limit } => {
            let query = Query {
                partner: Some(partner),
                from,
                until,
                ..Query::default()
            };
            let mut records = Vec::new();
            for index in log.find(&query, limit).map_err(|e| read(&e))? {
                records.push(summary(index, &log.record(index).map_err(|e| read(&e))?));
            }
            Ok(json!({ "log": log.id(), "records": records })
                .to_string()
                .into_bytes())
        }
        Question::Record(id) => {
            let query = Query {
                correlation_id: Some(&id),
                partner: Some(partner),
                ..Query::default()
            };
            let found = log.find(&query, LIST_MAX).map_err(|e| read(&e))?;
            let index = found
                .last()
                .ok_or_else(|| unknown("no record of the caller has that id"))?;
            let bundle = assemble::assemble(&log, *index, Extras::default());
            let mut bundle = bundle.map_err(assembled)?;
            bundle.crls =
                assemble::lists_for(snapshot.config(), snapshot.base(), &bundle, LISTS_MAX);
            Ok(bundle.to_text().into_bytes())
        }
        Question::Head => {
            let head = log.last_head().map_err(|e| read(&e))?.ok_or_else(early)?;
            let (_, head) = with_certificate(&log, &head)?;
            Ok(head.to_string().into_bytes())
        }
        Question::Consistency { from, to } => consistent(&log, from, to),
    }
}

fn consistent(log: &Log, from: u64, to: Option<u64>) -> Result<Vec<u8>, Refusal> {
    let size = log.size().map_err(|e| read(&e))?;
    let text = match to {
        Some(to) => log.head_at_least(to),
        // The tree's files may be a moment behind the newest head.
        None => log.head_at_most(size),
    }
    .map_err(|e| read(&e))?;
    let (head, mut told) = with_certificate(log, &text.ok_or_else(early)?)?;
    if from > head.size {
        return Err(unknown("the log has not so many records"));
    }
    let proof = assemble::consistency(log, from, head.size).map_err(|e| read(&e))?;
    let proof: Vec<String> = proof.ok_or_else(early)?.iter().map(bundle::shown).collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("from".to_owned(), json!(from));
        told.insert("proof".to_owned(), json!(proof));
    }
    Ok(told.to_string().into_bytes())
}

fn with_certificate(log: &Log, text: &str) -> Result<(Head, Value), Refusal> {
    let fault = |what: &str| Refusal::new(Code::Fault, format!("evidence log: {what}"));
    let head = Head::read(text).map_err(fault)?;
    let der = assemble::certificate(log.folder(), &head.signer)
        .ok_or_else(|| fault("the certificate that signed a head is not kept"))?;
    let told = json!({ "head": text, "certificate": STANDARD.encode(der) });
    Ok((head, told))
}

fn summary(index: u64, line: &[u8]) -> Value {
    let record: Value = serde_json::from_slice(line).unwrap_or_default();
    json!({
        "index": index,
        "time": record.get("time"),
        "route": record.get("route"),
        "errand": record.pointer("/errand/kind"),
        "verdict": record.get("verdict"),
        "code": record.get("code"),
        "correlationId": record.get("correlationId"),
        "leaf": bundle::shown(&merkle::leaf_hash(line)),
    })
}

fn early() -> Refusal {
    Refusal::new(Code::EvidenceEarly, "no signed head covers it yet")
}

fn read(error: &ReadError) -> Refusal {
    Refusal::new(Code::Fault, error.to_string())
}

fn assembled(error: AssembleError) -> Refusal {
    match error {
        AssembleError::NoHead(_) => early(),
        error => Refusal::new(Code::Fault, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_of_four_and_nothing_near_it() {
        let records = |limit| Question::Records {
            from: None,
            until: None,
            limit,
        };
        assert_eq!(ask("/evidence/records", None).unwrap(), records(LIST));
        assert_eq!(ask("/x/records", Some("limit=5")).unwrap(), records(5));
        assert_eq!(
            ask("/x/records", Some("limit=99999")).unwrap(),
            records(LIST_MAX)
        );
        assert_eq!(
            ask("/x/records/a-b", None).unwrap(),
            Question::Record("a-b".to_owned())
        );
        assert_eq!(ask("/x/head", None).unwrap(), Question::Head);
        let consistency = Question::Consistency {
            from: 3,
            to: Some(9),
        };
        assert_eq!(
            ask("/x/consistency", Some("from=3&to=9")).unwrap(),
            consistency
        );
        for (path, query) in [
            ("/x/records", Some("partner=other")),
            ("/x/records", Some("limit=5&limit=6")),
            ("/x/records", Some("limit=-1")),
            ("/x/records", Some("from=yesterday")),
            ("/x/records/a", Some("from=1")),
            ("/x/head", Some("from=1")),
            ("/x/consistency", None),
            ("/x/consistency", Some("from=+3")),
            ("/x/heads", None),
            // One value, one reading.
            ("/x/records", Some("limit=5&%6Cimit=6")),
            ("/x/records", Some("limit=%2535")),
            ("/x/records", Some("limit=%3")),
            ("/x/records", Some("limit=")),
            ("/x/records", Some("limit=+5")),
            ("/x/records", Some("limit=5%00")),
            ("/x/records", Some("from=2026-11-22T00%253A00%253A00Z")),
            ("/x/records", Some("Limit=5")),
            ("/x/records", Some("limit=5&of=crvs")),
            ("/x/records", Some("limit")),
        ] {
            assert!(ask(path, query).is_err(), "{path} {query:?}");
        }
        let colons = "from=2026-11-22T00:00:00Z&until=2026-11-23T00%3a00%3A00Z";
        let whole = Question::Records {
            from: verify::moment("2026-11-22T00:00:00Z"),
            until: verify::moment("2026-11-23T00:00:00Z"),
            limit: LIST,
        };
        assert_eq!(ask("/x/records", Some(colons)).unwrap(), whole);
        assert_eq!(ask("/x/records", Some("l%69mit=%35")).unwrap(), records(5));
    }
}
