//! The controllers' validators, group by group; the first group with an error ends it (reference, section 2.4).

use serde_json::{Map, Value};

use super::{
    failure::{Failure, Stop},
    filter::scalar,
    inner::{Demographics, Factors},
    records::IdaConfig,
    time,
};
use crate::{clock::Moment, sandbox::people::has_check_digit};

/// Which kind of identifier a request names an individual by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdType {
    Uin,
    Vid,
    Handle,
}

impl IdType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Uin => "UIN",
            Self::Vid => "VID",
            Self::Handle => "HANDLE",
        }
    }
}

/// The individual a request is about.
#[derive(Clone, Debug)]
pub(super) struct Individual {
    pub(super) id: String,
    pub(super) id_type: IdType,
}

/// auth, kyc and kyc-auth.
pub(super) fn auth(
    config: &IdaConfig,
    outer: &Map<String, Value>,
    inner: &Map<String, Value>,
    factors: &Factors,
    now: Moment,
) -> Result<(Individual, Option<Demographics>), Stop> {
    let demographics = read_demographics(inner)?;
    if !consents(outer) {
        return stop(vec![Failure::new(
            "IDA-MLC-012",
            "Individual's Consent is not available",
        )]);
    }
    let mut errors = Vec::new();
    time::check(
        "requestTime",
        scalar(outer, "requestTime"),
        config.window,
        now,
        &mut errors,
    );
    time::check(
        "request/timestamp",
        scalar(inner, "timestamp"),
        config.window,
        now,
        &mut errors,
    );
    stop_if(errors)?;
    listed(outer, "domainUri", "request/domainUri", &config.domain_uris)?;
    listed(outer, "env", "request/env", &config.envs)?;
    transaction(outer).map_or(Ok(()), |failure| stop(vec![failure]))?;
    for factor in factors.names() {
        if !config.factors.iter().any(|allowed| allowed == factor) {
            return stop(vec![
                Failure::new(
                    "IDA-MLC-011",
                    format!("Unsupported Authentication Type - {factor}"),
                )
                .acting("Please use other Authentication Types in the request"),
            ]);
        }
    }
    if let Some(demographics) = &demographics {
        stop_if(check_demographics(config, demographics))?;
    }
    if factors.none() {
        return stop(vec![Failure::new(
            "IDA-MLC-008",
            "No authentication type selected",
        )]);
    }
    let individual = individual(outer).map_err(Stop::one)?;
    Ok((individual, demographics))
}

/// otp: form of time and transaction together, then the window, the individual, the channels.
pub(super) fn otp(
    config: &IdaConfig,
    outer: &Map<String, Value>,
    now: Moment,
) -> Result<(Individual, Vec<String>), Stop> {
    let mut errors: Vec<Failure> = transaction(outer).into_iter().collect();
    let before = errors.len();
    time::check(
        "requestTime",
        scalar(outer, "requestTime"),
        config.window,
        now,
        &mut errors,
    );
    errors.rotate_left(before);
    stop_if(errors)?;
    let individual = individual(outer).map_err(Stop::one)?;
    let channels: Vec<String> = match outer.get("otpChannel") {
        Some(Value::Array(list)) => list
            .iter()
            .map(|channel| channel.as_str().unwrap_or_default().to_owned())
            .collect(),
        _ => Vec::new(),
    };
    if channels.first().is_none_or(String::is_empty) {
        return stop(vec![Failure::new(
            "IDA-OTA-008",
            "OTP Notification Channel not provided",
        )]);
    }
    let known = ["email", "phone", "none"];
    let unknown: Vec<_> = channels
        .iter()
        .filter(|channel| !known.iter().any(|name| name.eq_ignore_ascii_case(channel)))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return stop(vec![Failure::invalid(&format!(
            "otpChannel - {}",
            unknown.join(",")
        ))]);
    }
    Ok((individual, channels))
}

/// kyc-exchange: time, transaction, individual. The token is checked behind it.
pub(super) fn exchange(
    config: &IdaConfig,
    outer: &Map<String, Value>,
    now: Moment,
) -> Result<Individual, Stop> {
    let mut errors = Vec::new();
    time::check(
        "requestTime",
        scalar(outer, "requestTime"),
        config.window,
        now,
        &mut errors,
    );
    stop_if(errors)?;
    transaction(outer).map_or(Ok(()), |failure| stop(vec![failure]))?;
    if scalar(outer, "kycToken").is_none() {
        return stop(vec![Failure::missing("kycToken")]);
    }
    individual(outer).map_err(Stop::one)
}

fn stop<T>(failures: Vec<Failure>) -> Result<T, Stop> {
    Err(Stop::Controller(failures))
}

fn stop_if(failures: Vec<Failure>) -> Result<(), Stop> {
    if failures.is_empty() {
        Ok(())
    } else {
        stop(failures)
    }
}

fn read_demographics(inner: &Map<String, Value>) -> Result<Option<Demographics>, Stop> {
    match inner.get("demographics") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| Stop::one(Failure::generic())),
    }
}

fn consents(outer: &Map<String, Value>) -> bool {
    match outer.get("consentObtained") {
        Some(Value::Bool(given)) => *given,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn listed(
    outer: &Map<String, Value>,
    member: &str,
    name: &str,
    allowed: &[String],
) -> Result<(), Stop> {
    match outer.get(member) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text))
            if allowed.iter().any(|value| value.eq_ignore_ascii_case(text)) =>
        {
            Ok(())
        }
        Some(_) => stop(vec![Failure::invalid(name)]),
    }
}

fn transaction(outer: &Map<String, Value>) -> Option<Failure> {
    match scalar(outer, "transactionID") {
        None => Some(Failure::missing("transactionID")),
        Some(text) if is_transaction(text) => None,
        Some(_) => Some(Failure::invalid("transactionID")),
    }
}

/// Exactly ten letters or digits.
pub(super) fn is_transaction(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn check_demographics(config: &IdaConfig, demographics: &Demographics) -> Vec<Failure> {
    let mut errors = Vec::new();
    for (member, list) in demographics.spoken() {
        let mut seen = Vec::new();
        for spoken in list {
            let Some(language) = spoken.language.as_deref().filter(|code| !code.is_empty()) else {
                errors.push(Failure::missing(&format!(
                    "request/demographics/{member}/language"
                )));
                continue;
            };
            if !config
                .languages
                .iter()
                .any(|known| known.eq_ignore_ascii_case(language))
            {
                errors.push(
                    Failure::new(
                        "IDA-DEA-002",
                        format!("Unsupported Language Code - {language}"),
                    )
                    .acting("Please provide valid Language"),
                );
            } else if seen.contains(&language) {
                errors.push(Failure::invalid(&format!(
                    "request/demographics/{member}/language"
                )));
            }
            seen.push(language);
        }
    }
    if let Some(age) = demographics.age.as_deref()
        && !age.parse::<u32>().is_ok_and(|age| age > 0)
    {
        errors.push(Failure::invalid("age"));
    }
    if let Some(born) = demographics.dob.as_deref()
        && super::matching::date(born).is_none()
    {
        errors.push(Failure::invalid("dob"));
    }
    errors
}

/// The individual's id with its type; without a type it is guessed from the form.
pub(super) fn individual(outer: &Map<String, Value>) -> Result<Individual, Failure> {
    let id = scalar(outer, "individualId")
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::missing("individualId"))?;
    let fits = |length: usize| id.len() == length && has_check_digit(id);
    let id_type = match outer.get("individualIdType") {
        None | Some(Value::Null) if fits(10) => IdType::Uin,
        None | Some(Value::Null) if fits(16) => IdType::Vid,
        None | Some(Value::Null) => IdType::Handle,
        Some(Value::String(text)) => match text.as_str() {
            "UIN" => IdType::Uin,
            "VID" => IdType::Vid,
            "HANDLE" => IdType::Handle,
            "USERID" => {
                return Err(Failure::new(
                    "IDA-MLC-015",
                    "Identity Type - USERID not configured for the country",
                ));
            }
            _ => return Err(Failure::invalid("individualIdType")),
        },
        Some(_) => return Err(Failure::invalid("individualIdType")),
    };
    match id_type {
        IdType::Uin if !fits(10) => {
            Err(Failure::new("IDA-MLC-002", "Invalid UIN")
                .acting("Please retry with the correct UIN"))
        }
        IdType::Vid if !fits(16) => {
            Err(Failure::new("IDA-MLC-004", "Invalid VID").acting("Please retry with correct VID"))
        }
        IdType::Uin | IdType::Vid | IdType::Handle => Ok(Individual {
            id: id.to_owned(),
            id_type,
        }),
    }
}
