//! `authToken` and `kycToken`: what a partner may know an individual by.

use std::collections::HashMap;

use openssl::{error::ErrorStack, hash::MessageDigest, pkey::PKey, sha::sha256, sign::Signer};

use super::{crypto, encoding, failure::Failure, partner::Parties};
use crate::clock::Moment;

/// Digits in an `authToken` (`mosip.kernel.tokenid.length`).
const LENGTH: usize = 36;
/// How many KYC tokens are remembered.
const REMEMBERED: usize = 4_096;

/// The token of an individual, of the kind the policy names; any other kind is random.
pub(super) fn auth_token(
    secret: &[u8; 32],
    uin: &str,
    parties: &Parties<'_>,
) -> Result<String, ErrorStack> {
    let policy = &parties.api_key.policy;
    match policy
        .document
        .auth_token_type
        .to_ascii_lowercase()
        .as_str()
    {
        "partner" => stable(secret, "partner", uin, &parties.partner.id),
        "policy" => stable(secret, "policy", uin, &policy.id),
        _ => {
            let bytes: [u8; 64] = crypto::random()?;
            Ok(decimal(&bytes))
        }
    }
}

/// Tokens given by kyc-auth and taken by kyc-exchange.
#[derive(Default)]
pub(super) struct KycTokens(HashMap<String, KycToken>);

struct KycToken {
    individual: String,
    client: String,
    transaction: String,
    subject: String,
    issued: Moment,
    used: bool,
}

impl KycTokens {
    /// Makes and remembers a token.
    pub(super) fn issue(
        &mut self,
        secret: &[u8; 32],
        individual: &str,
        client: &str,
        transaction: &str,
        subject: &str,
        now: Moment,
    ) -> Result<String, ErrorStack> {
        let unique: [u8; 16] = crypto::random()?;
        let mut input = unique.to_vec();
        input.extend(sha256(individual.as_bytes()));
        input.extend(secret);
        let token = encoding::base58(&sha256(&input));
        if self.0.len() >= REMEMBERED {
            let oldest = self
                .0
                .iter()
                .min_by_key(|(_, token)| token.issued)
                .map(|(name, _)| name.clone());
            oldest.map(|name| self.0.remove(&name));
        }
        self.0.insert(
            token.clone(),
            KycToken {
                individual: individual.to_owned(),
                client: client.to_owned(),
                transaction: transaction.to_owned(),
                subject: subject.to_owned(),
                issued: now,
                used: false,
            },
        );
        Ok(token)
    }

    /// Takes a token, once, and gives the subject it was issued for.
    pub(super) fn redeem(
        &mut self,
        token: &str,
        individual: &str,
        client: &str,
        transaction: &str,
        life_s: i64,
        now: Moment,
    ) -> Result<String, Failure> {
        let token = self
            .0
            .get_mut(token)
            .ok_or_else(|| Failure::new("IDA-KYE-001", "KYC Token not found in Store."))?;
        if token.used {
            return Err(Failure::new("IDA-KYE-003", "KYC Token already processed."));
        }
        if now.since_ms(token.issued) > life_s.saturating_mul(1000) {
            return Err(Failure::new("IDA-KYE-002", "KYC Token Expired."));
        }
        if token.client != client {
            return Err(Failure::new(
                "IDA-KYE-004",
                "KYC Token does not belong to the input oidc client id.",
            ));
        }
        if token.transaction != transaction {
            return Err(Failure::new(
                "IDA-KYE-005",
                "KYC Auth and KYC Exchange transaction ids are different.",
            ));
        }
        if token.individual != individual {
            return Err(Failure::new(
                "IDA-KYE-007",
                "KYC Token does not belong to the input UIN/VID.",
            ));
        }
        token.used = true;
        Ok(token.subject.clone())
    }
}

/// The token that stays the same for a person and whoever asks.
pub(super) fn stable(
    secret: &[u8; 32],
    kind: &str,
    uin: &str,
    whose: &str,
) -> Result<String, ErrorStack> {
    let key = PKey::hmac(secret)?;
    let mut digits = Vec::new();
    for block in ["1", "2"] {
        let mut mac = Signer::new(MessageDigest::sha256(), &key)?;
        mac.update([kind, uin, whose, block].join("\0").as_bytes())?;
        digits.extend(mac.sign_to_vec()?);
    }
    Ok(decimal(&digits))
}

fn decimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(LENGTH)
        .map(|byte| char::from(b'0'.wrapping_add(byte % 10)))
        .collect()
}
