//! The failure switchboard: the sandbox can be told to misbehave for its next answers, so that the gateway in front of it
//! is tested against an upstream that is cut, slow, forged or swollen.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;

/// The longest delay that can be asked for.
const LONGEST: Duration = Duration::from_secs(600);
/// How many orders can wait.
const WAITING: usize = 64;

/// What to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The connection ends half way through the body.
    Cut,
    /// The answer is late.
    Slow,
    /// There is no `response-signature`.
    Unsigned,
    /// The signature is ours, but over other bytes.
    WrongSignature,
    /// The body is 10 MiB of valid, signed JSON.
    Oversize,
    /// HTTP 500 without a signature.
    Error500,
    /// A signed body that is not JSON.
    NotJson,
    /// A signed answer to another transaction.
    OtherTransaction,
}

impl Fault {
    /// Its name, as in `POST /sandbox/fault`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Unsigned => "unsigned",
            Self::WrongSignature => "wrong-signature",
            Self::Oversize => "oversize",
            Self::Error500 => "error500",
            Self::NotJson => "not-json",
            Self::OtherTransaction => "other-transaction",
        }
    }
}

/// An order to misbehave: `{"kind": "slow", "times": 1, "ms": 2000}`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// What.
    pub kind: Fault,
    /// For how many answers; 0 takes back every order that waits.
    #[serde(default = "once")]
    pub times: u32,
    /// How late a slow answer is, in milliseconds.
    #[serde(default = "a_minute")]
    pub ms: u64,
}

/// The orders that wait.
#[derive(Default)]
pub(super) struct Switchboard(VecDeque<FaultOrder>);

impl Switchboard {
    /// Adds an order; `false` when too many wait.
    pub(super) fn order(&mut self, order: FaultOrder) -> bool {
        if order.times == 0 {
            self.0.clear();
            return true;
        }
        if self.0.len() >= WAITING {
            return false;
        }
        self.0.push_back(order);
        true
    }

    /// The fault of the next answer, with its delay.
    pub(super) fn next(&mut self) -> Option<(Fault, Duration)> {
        let order = self.0.front_mut()?;
        let next = (order.kind, Duration::from_millis(order.ms).min(LONGEST));
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            self.0.pop_front();
        }
        Some(next)
    }
}

const fn once() -> u32 {
    1
}

const fn a_minute() -> u64 {
    60_000
}
