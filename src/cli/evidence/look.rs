//! Looking records up, and exporting one.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::{Place, Problem, read, read_config};
use crate::{
    cli::{
        output::say,
        store::{self, CommandError},
    },
    clock::Moment,
    evidence::{
        assemble::{self, Extras},
        bodies::{Bodies, Which},
        bundle::{self, BodyPart, Bundle, ReceiptPart},
        merkle,
        reader::{Log, Query},
        verify,
    },
    trust,
};

/// The largest answer that is put beside a receipt, in bytes.
const ANSWER_MAX: u64 = 16 << 20;
/// The most that revocation lists may have in a bundle, in bytes.
const LISTS_MAX: usize = 24 << 20;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Of one partner.
    #[arg(long)]
    partner: Option<String>,
    /// Of one correlation id (in every answer's header `x-correlation-id`).
    #[arg(long)]
    correlation_id: Option<String>,
    /// Not before this time, such as 2026-11-22T08:00:00Z.
    #[arg(long)]
    from: Option<String>,
    /// Before this time.
    #[arg(long)]
    until: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON: one object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// The correlation id, or the number of the record in the log.
    which: String,
    /// Print the line as it stands in the log: these octets are what is hashed.
    #[arg(long)]
    raw: bool,
    /// Print the receipt alone that the gateway which was called gave for it: what that gateway's `export` takes as --receipt.
    #[arg(long, conflicts_with = "raw")]
    receipt: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    /// The correlation id, or the number of the record in the log.
    which: String,
    /// The file to write; an existing one is replaced. Without it, the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A file with the value of the answer's header `response-signature`, as the partner received it.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The answer's body as the partner received it, with --receipt.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    answer: Option<PathBuf>,
    /// Add the bodies that were kept. The bundle then holds personal data.
    #[arg(long)]
    bodies: bool,
    /// A file with certificates that the log's folder does not have.
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
}

pub(super) fn list(args: &List) -> Result<(), Problem> {
    let log = args.place.log()?;
    let query = Query {
        correlation_id: args.correlation_id.as_deref(),
        partner: args.partner.as_deref(),
        from: time(args.from.as_deref())?,
        until: time(args.until.as_deref())?,
    };
    for index in log.find(&query, args.limit)? {
        let line = log.record(index)?;
        let shown = summary(index, &line);
        if args.json {
            say(shown);
            continue;
        }
        let text = |name: &str| {
            shown
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("-")
                .to_owned()
        };
        say(format_args!(
            "{index:>8}  {}  {:<12} {:<20} {:<9} {:<8} {}",
            text("time"),
            text("partner"),
            match text("errand").as_str() {
                "-" => text("route"),
                errand => errand.to_owned(),
            },
            text("verdict"),
            text("code"),
            text("correlationId")
        ));
    }
    Ok(())
}

/// What is shown of a record in a list.
fn summary(index: u64, line: &[u8]) -> Value {
    let record: Value = serde_json::from_slice(line).unwrap_or_default();
    json!({
        "index": index,
        "time": record.get("time"),
        "partner": record.pointer("/caller/id").or_else(|| record.pointer("/peer/id")),
        "route": record.get("route"),
        "errand": errand(&record),
        "verdict": record.get("verdict"),
        "code": record.get("code"),
        "correlationId": record.get("correlationId"),
        "leaf": bundle::shown(&merkle::leaf_hash(line)),
    })
}

/// The errand of a call outward: its kind and step.
fn errand(record: &Value) -> Option<String> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    Some(format!(
        "{}/{}",
        text("/errand/kind")?,
        text("/errand/step")?
    ))
}

pub(super) fn show(args: &Show) -> Result<(), Problem> {
    let log = args.place.log()?;
    let line = log.record(find(&log, &args.which)?)?;
    if args.raw {
        say(String::from_utf8_lossy(&line));
        return Ok(());
    }
    let record: Value =
        serde_json::from_slice(&line).map_err(|e| Problem::Form(format!("the record: {e}")))?;
    if args.receipt {
        let held = record.pointer("/upstream/receipt/signature");
        let held = held.and_then(Value::as_str).ok_or_else(|| {
            let what = "the record holds no receipt: nobody was called, or who was called keeps no evidence";
            Problem::Form(what.to_owned())
        })?;
        say(held);
        return Ok(());
    }
    say(format_args!("{record:#}"));
    Ok(())
}

pub(super) fn export(args: &Export) -> Result<(), Problem> {
    let log = args.place.log()?;
    let index = find(&log, &args.which)?;
    let mut extras = Extras::default();
    for file in &args.certificate {
        let read = trust::certificates_from_file(file);
        let read = read.map_err(|e| Problem::Certificate(file.clone(), e))?;
        extras
            .certificates
            .extend(read.iter().map(|c| c.der().to_vec()));
    }
    if let Some(file) = &args.receipt {
        extras.receipt = Some(receipt(file, args.answer.as_deref())?);
    }
    if args.bodies {
        let config = args.place.config.as_deref().ok_or(Problem::NoKey)?;
        extras.body = kept(config, &log, index)?;
    }
    let mut bundle: Bundle = assemble::assemble(&log, index, extras)?;
    if let Some(file) = &args.place.config {
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        bundle.crls = assemble::lists_for(&read_config(file)?, base, &bundle, LISTS_MAX);
    }
    let text = bundle.to_text();
    let Some(out) = &args.out else {
        say(text.trim_end());
        return Ok(());
    };
    let problem = |e| Problem::File(out.clone(), e);
    // It may hold personal data: for its owner alone.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(out)
        .map_err(problem)?;
    file.write_all(text.as_bytes()).map_err(problem)?;
    say(format_args!(
        "record {index} and its proof are in {}",
        out.display()
    ));
    Ok(())
}

/// A receipt from files.
pub(super) fn receipt(file: &Path, answer: Option<&Path>) -> Result<ReceiptPart, Problem> {
    let text = String::from_utf8(read(file, 64 << 10)?)
        .map_err(|_| Problem::Form(format!("{}: no text", file.display())))?;
    let answer = answer.map(|file| read(file, ANSWER_MAX)).transpose()?;
    Ok(ReceiptPart {
        signature: text.trim().to_owned(),
        answer: answer.map(|bytes| STANDARD.encode(bytes)),
    })
}

/// The bodies that were kept of a record and not erased.
fn kept(config: &Path, log: &Log, index: u64) -> Result<Option<BodyPart>, Problem> {
    let record: Value = serde_json::from_slice(&log.record(index)?).unwrap_or_default();
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let (Some(id), Some(key)) = (text("/body/id").and_then(id), text("/body/key")) else {
        say("no body of this exchange was kept");
        return Ok(None);
    };
    let (_, location) = store::read(config)?;
    let vault = location.vault().map_err(CommandError::Store)?;
    let bodies = Bodies::new(log.folder(), vault);
    let one = |which| -> Result<Option<String>, Problem> {
        let opened = bodies.open(key, id, which)?;
        Ok(opened.map(|opened| STANDARD.encode(opened.salted())))
    };
    let part = BodyPart {
        request: one(Which::Request)?,
        answer: one(Which::Answer)?,
    };
    if part.request.is_none() && part.answer.is_none() {
        say("the kept bodies of this exchange were erased; the proof holds without them");
        return Ok(None);
    }
    Ok(Some(part))
}

/// 32 hex digits.
fn id(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

fn find(log: &Log, which: &str) -> Result<u64, Problem> {
    let query = Query {
        correlation_id: Some(which),
        ..Query::default()
    };
    let found = log.find(&query, 10)?;
    match found[..] {
        [one] => Ok(one),
        [] => match which.parse() {
            Ok(index) if index < log.size()? => Ok(index),
            _ => Err(Problem::Unknown(which.to_owned())),
        },
        [..] => {
            let numbers: Vec<String> = found.iter().map(ToString::to_string).collect();
            let which = which.to_owned();
            Err(Problem::Several(found.len(), which, numbers.join(", ")))
        }
    }
}

fn time(text: Option<&str>) -> Result<Option<Moment>, Problem> {
    text.map(|text| verify::moment(text).ok_or_else(|| Problem::Time(text.to_owned())))
        .transpose()
}
