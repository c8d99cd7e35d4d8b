//! What the sandbox's MOSIP can be told to do wrong: `POST /sandbox/fault {"kind": "deliver-twice", "times": 3}`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest delay that can be asked for.
const LONGEST: Duration = Duration::from_secs(600);

/// What to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The login answers 503.
    LoginDown,
    /// The login is late by `ms`.
    LoginSlow,
    /// Tokens live for `ms` only.
    TokenShort,
    /// createPacket fails as MOSIP's does: 200, `response:null`, `errors:[]`, and nothing is stored.
    PacketHidden,
    /// createPacket answers 500.
    PacketError,
    /// createPacket is late by `ms`.
    PacketSlow,
    /// The packet is stored, but the answer breaks off.
    PacketCut,
    /// workflowinstance answers `RPR-WIS-000`.
    WorkflowUnknown,
    /// workflowinstance answers a bare JSON string, as MOSIP's generic failure handler does.
    WorkflowText,
    /// workflowinstance answers 500.
    WorkflowError,
    /// The workflow is started, but the answer breaks off.
    WorkflowCut,
    /// A stage rejects the packet: nobody is told.
    Reject,
    /// The credential is signed with a stranger's key.
    CredentialForged,
    /// The number is changed after the credential was signed.
    CredentialAltered,
    /// The credential is encrypted to a stranger.
    CredentialOtherRecipient,
    /// The credential is about another registration.
    CredentialOtherSubject,
    /// The credential is signed as the OpenCRVS mock does (canonical JSON), not as MOSIP does.
    CredentialMockForm,
    /// Each event is delivered twice.
    DeliverTwice,
    /// Deliveries are late by `ms`.
    DeliverLater,
    /// Deliveries have no `X-Hub-Signature`.
    DeliverUnsigned,
    /// Deliveries are signed over other bytes.
    DeliverWrongSignature,
    /// The hub is away until the order is taken back: it answers 503 and delivers nothing.
    HubStop,
}

/// An order to misbehave.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// What.
    pub kind: Fault,
    /// How often; 0 takes the order back.
    #[serde(default = "once")]
    pub times: u32,
    /// For how long, in milliseconds, where that means something.
    #[serde(default = "a_second")]
    pub ms: u64,
}

/// The orders that wait: one of a kind.
#[derive(Debug, Default)]
pub(super) struct Switchboard(BTreeMap<Fault, FaultOrder>);

impl Switchboard {
    /// Takes an order in place of an earlier one of its kind.
    pub(super) fn order(&mut self, order: FaultOrder) {
        if order.times == 0 {
            self.0.remove(&order.kind);
        } else {
            self.0.insert(order.kind, order);
        }
    }

    /// Whether this fault strikes now, with its time; one use of the order.
    pub(super) fn strikes(&mut self, kind: Fault) -> Option<Duration> {
        let order = self.0.get_mut(&kind)?;
        let ms = Duration::from_millis(order.ms).min(LONGEST);
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            self.0.remove(&kind);
        }
        Some(ms)
    }

    /// Whether such an order waits; it is not used up.
    pub(super) fn waits(&self, kind: Fault) -> bool {
        self.0.contains_key(&kind)
    }
}

const fn once() -> u32 {
    1
}

const fn a_second() -> u64 {
    1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_strikes_as_often_as_it_says() {
        let mut board = Switchboard::default();
        let order = |text| serde_json::from_str::<FaultOrder>(text).unwrap();
        board.order(order(r#"{"kind":"deliver-twice","times":2}"#));
        assert!(board.strikes(Fault::DeliverTwice).is_some());
        assert!(board.strikes(Fault::HubStop).is_none());
        assert!(board.strikes(Fault::DeliverTwice).is_some());
        assert!(board.strikes(Fault::DeliverTwice).is_none());
        board.order(order(r#"{"kind":"hub-stop"}"#));
        assert!(board.waits(Fault::HubStop));
        board.order(order(r#"{"kind":"hub-stop","times":0}"#));
        assert!(!board.waits(Fault::HubStop));
    }
}
