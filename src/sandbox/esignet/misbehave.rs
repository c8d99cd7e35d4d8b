//! Orders to misbehave, so that what stands in front of E-Signet is tested against one that lies.

use std::collections::VecDeque;

use serde::Deserialize;

/// How many orders can wait.
const WAITING: usize = 64;

/// What to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EsignetFault {
    /// The next userinfo is signed by a key that nobody knows, under the authority's `kid`.
    StrangerSignature,
    /// The next userinfo is signed by a stranger under a `kid` that is not in the JWKS.
    UnknownKid,
    /// The next userinfo is a JWS with `alg: none`.
    AlgNone,
    /// The next userinfo is about somebody else: right signature, other `sub`.
    OtherSubject,
    /// The next userinfo is an error text with status 200.
    ErrorText,
    /// The next userinfo or token answer is HTTP 500.
    Error500,
    /// The next code has already expired when it is handed out.
    ExpiredCode,
    /// The next `id_token` is about somebody else.
    OtherIdToken,
}

impl EsignetFault {
    /// Whether this fault belongs to a place.
    const fn at(self, place: Place) -> bool {
        match self {
            Self::StrangerSignature
            | Self::UnknownKid
            | Self::AlgNone
            | Self::OtherSubject
            | Self::ErrorText => matches!(place, Place::Userinfo),
            Self::Error500 => matches!(place, Place::Userinfo | Place::Token),
            Self::ExpiredCode => matches!(place, Place::Code),
            Self::OtherIdToken => matches!(place, Place::Token),
        }
    }
}

/// Where something can go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Code,
    Token,
    Userinfo,
}

/// An order to misbehave: `{"kind": "other-subject", "times": 1}`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EsignetFaultOrder {
    /// What.
    pub kind: EsignetFault,
    /// For how many answers; 0 takes back every order that waits.
    #[serde(default = "once")]
    pub times: u32,
}

const fn once() -> u32 {
    1
}

/// The orders that wait.
#[derive(Default)]
pub(super) struct Orders(VecDeque<EsignetFaultOrder>);

impl Orders {
    /// Adds an order; `false` when too many wait.
    pub(super) fn order(&mut self, order: EsignetFaultOrder) -> bool {
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

    /// The first order for a place.
    pub(super) fn next(&mut self, place: Place) -> Option<EsignetFault> {
        let position = self.0.iter().position(|order| order.kind.at(place))?;
        let order = self.0.get_mut(position)?;
        let kind = order.kind;
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            self.0.remove(position);
        }
        Some(kind)
    }
}
