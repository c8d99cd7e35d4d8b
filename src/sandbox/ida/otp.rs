//! One-time passwords: made on request, read from the sandbox's outbox, good once and not for long; too many wrong ones
//! freeze the individual. One per individual id is alive, a new request replaces it, as in MOSIP.

use std::collections::{HashMap, VecDeque};

use super::{
    failure::Failure,
    records::OtpRules,
    validate::{IdType, Individual},
};
use crate::clock::Moment;

/// How many requests are remembered; the oldest go first.
const REMEMBERED: usize = 4_096;

/// Everything about one-time passwords that must be remembered.
#[derive(Default)]
pub(super) struct OtpBook {
    alive: HashMap<String, Entry>,
    requests: VecDeque<Request>,
}

/// Who asks: the individual as named, the person behind, and the partner with the transaction.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) individual: &'a Individual,
    pub(super) uin: &'a str,
    pub(super) partner: &'a str,
    pub(super) transaction: &'a str,
}

/// What a person would find on the phone.
pub(super) struct Delivered<'a> {
    pub(super) code: &'a str,
    pub(super) expires: Moment,
}

struct Entry {
    transaction: String,
    code: String,
    expires: Moment,
    changed: Moment,
    wrong: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Used,
    Frozen,
}

struct Request {
    transaction: String,
    uin: String,
    id_type: IdType,
    partner: String,
    at: Moment,
}

impl OtpBook {
    /// Puts a new password in the outbox.
    pub(super) fn request(
        &mut self,
        rules: OtpRules,
        asked: Asked<'_>,
        code: String,
        now: Moment,
    ) -> Result<(), Failure> {
        let flood = rules.flood_s.saturating_mul(1000);
        let recent = self
            .requests
            .iter()
            .filter(|request| request.uin == asked.uin && now.since_ms(request.at) < flood)
            .count();
        if recent >= rules.flood_count {
            return Err(Failure::new(
                "IDA-OTA-001",
                "Innumerous OTP requests received",
            ));
        }
        if let Some(entry) = self.alive.get(&asked.individual.id)
            && still_frozen(entry, rules, now)
        {
            return Err(frozen(rules));
        }
        if self.requests.len() >= REMEMBERED
            && let Some(oldest) = self.requests.pop_front()
        {
            self.alive.retain(|_, entry| {
                entry.transaction != oldest.transaction || entry.state == State::Frozen
            });
        }
        self.requests.push_back(Request {
            transaction: asked.transaction.to_owned(),
            uin: asked.uin.to_owned(),
            id_type: asked.individual.id_type,
            partner: asked.partner.to_owned(),
            at: now,
        });
        self.alive.insert(
            asked.individual.id.clone(),
            Entry {
                transaction: asked.transaction.to_owned(),
                code,
                expires: now.plus_ms(rules.expiry_s.saturating_mul(1000)),
                changed: now,
                wrong: 0,
                state: State::Active,
            },
        );
        Ok(())
    }

    /// Whether the password is right. What cannot be tried at all is an error.
    pub(super) fn check(
        &mut self,
        rules: OtpRules,
        asked: Asked<'_>,
        code: &str,
        now: Moment,
    ) -> Result<bool, Failure> {
        let request = self
            .requests
            .iter()
            .rev()
            .find(|request| request.transaction == asked.transaction && request.uin == asked.uin)
            .ok_or_else(|| {
                Failure::new(
                    "IDA-OTA-005",
                    "Input transactionID does not match transactionID of OTP Request",
                )
            })?;
        if request.id_type != asked.individual.id_type {
            return Err(Failure::new(
                "IDA-OTA-010",
                "Input Identity Type does not match Identity Type of OTP Request",
            ));
        }
        if request.partner != asked.partner {
            return Err(Failure::new(
                "IDA-OTA-011",
                "Input Partner-ID does not match Partner-ID of OTP Request",
            ));
        }
        let entry = self
            .alive
            .get_mut(&asked.individual.id)
            .filter(|entry| entry.state != State::Used)
            .ok_or_else(required)?;
        if entry.state == State::Frozen {
            return Err(if still_frozen(entry, rules, now) {
                frozen(rules)
            } else {
                required()
            });
        }
        entry.changed = now;
        if entry.transaction == asked.transaction && entry.code == code {
            entry.state = State::Used;
            if entry.expires <= now {
                return Err(Failure::new("IDA-OTA-003", "OTP has expired")
                    .acting("Please regenerate OTP and try again after sometime"));
            }
            return Ok(true);
        }
        entry.wrong = entry.wrong.saturating_add(1);
        if entry.wrong >= rules.attempts {
            entry.state = State::Frozen;
        }
        Ok(false)
    }

    /// The password of a transaction, as long as it is alive.
    pub(super) fn delivered(&self, transaction: &str) -> Option<Delivered<'_>> {
        self.alive
            .values()
            .find(|entry| entry.transaction == transaction && entry.state == State::Active)
            .map(|entry| Delivered {
                code: &entry.code,
                expires: entry.expires,
            })
    }
}

/// The number with its first half and one more replaced, as answers to an OTP request show it.
pub(super) fn masked_phone(phone: &str) -> String {
    masked(phone)
}

/// The address with the first half and one more of its name replaced. (MOSIP masks other letters; the idea is the same.)
pub(super) fn masked_email(email: &str) -> String {
    match email.split_once('@') {
        Some((name, domain)) => format!("{}@{domain}", masked(name)),
        None => masked(email),
    }
}

fn masked(text: &str) -> String {
    let hidden = (text.chars().count() / 2).saturating_add(1);
    text.chars()
        .enumerate()
        .map(|(index, c)| if index < hidden { 'X' } else { c })
        .collect()
}

fn still_frozen(entry: &Entry, rules: OtpRules, now: Moment) -> bool {
    entry.state == State::Frozen
        && now.since_ms(entry.changed) <= rules.frozen_s.saturating_mul(1000)
}

/// Code as in current IDA; the wording is ours (it is not in the versions read).
fn required() -> Failure {
    Failure::new(
        "IDA-OTA-012",
        "OTP request is required before OTP authentication",
    )
}

fn frozen(rules: OtpRules) -> Failure {
    Failure::new(
        "IDA-OTA-013",
        format!(
            "OTP is frozen for {} seconds after {} invalid attempts",
            rules.frozen_s, rules.attempts
        ),
    )
}
