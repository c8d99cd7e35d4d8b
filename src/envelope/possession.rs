//! Proof that somebody holds the private half of a new key (docs/partner-guide.md): a challenge of ours, and what answers it.
//!
//! **The challenge** is a compact JWS that we sign ourselves, so that every gateway of the party knows it for its own and nothing has to
//! be remembered between question and answer. It names everything that it is good for: partner, role, certificate, the certificate
//! of the connection, the time. That it is used once is for the caller to see to.
//!
//! **A key that signs** answers with a compact JWS of its own. **A key that decrypts** is given a JWE with 256 random bits in it, and
//! answers with them; the challenge has their hash. Each has a `typ` or a media type that nothing else has, so that neither can
//! be mistaken for, or made out of, another message.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};

use super::{DetachedSigner, forms, jose, json as strict, jws};
use crate::{
    clock::Moment,
    config::{Algorithm, Role},
    keys::{
        ContentUnwrapKey, KeyEntry, PublicKey, VerifyingKey, proof_algorithm, verify_possession,
    },
    trust::Fingerprint,
};

/// `typ` of a challenge.
pub const CHALLENGE: &str = "triseal-key-challenge+jwt";
/// `typ` of the proof of a key that signs.
pub const PROOF: &str = "triseal-key-possession+jwt";
/// The media type of what is sealed to a key that decrypts.
pub const SEALED: &str = "application/triseal-key-challenge+json";

/// Bytes of a challenge, and of a proof.
const TEXT_MAX: usize = 8 << 10;

/// Why a challenge or its answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PossessionProblem {
    /// It is not of the one form.
    #[error("not of the form: {0}")]
    Form(&'static str),
    /// It is not for this use, or not by this key.
    #[error("{0}")]
    Wrong(&'static str),
    /// No random numbers, or a key that fails.
    #[error("it could not be made")]
    Fault,
}

/// What a challenge is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Our party.
    pub audience: String,
    /// The partner.
    pub partner: String,
    /// The role of the new certificate.
    pub role: Role,
    /// The signature algorithm that will be bound to its key.
    pub algorithm: Option<Algorithm>,
    /// The new certificate.
    pub certificate: Fingerprint,
    /// The client certificate of the connection.
    pub connection: String,
    /// When it was made.
    pub issued: Moment,
    /// What is to be proven with.
    pub nonce: Nonce,
}

/// What answers a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nonce {
    /// To be signed.
    Signed(String),
    /// SHA-256 of what is to be decrypted.
    Hidden([u8; 32]),
}

impl Nonce {
    /// What is to be decrypted, hidden.
    ///
    /// # Errors
    /// [`PossessionProblem::Form`] when it is not 256 bits, encoded.
    pub fn hide(nonce: &str) -> Result<Self, PossessionProblem> {
        forms::base64url(nonce)
            .filter(|bytes| bytes.len() == 32)
            .map(|bytes| Self::Hidden(forms::sha256(&bytes)))
            .ok_or(PossessionProblem::Form("not 256 bits in base64url"))
    }
}

/// What a challenge is remembered by.
pub fn digest(challenge: &str) -> [u8; 32] {
    // Without its signature: whoever holds one may be able to write another that fits as well.
    let said = challenge
        .rsplit_once('.')
        .map_or(challenge, |(said, _)| said);
    forms::sha256(said.as_bytes())
}

/// A fingerprint as JOSE writes it.
pub fn encoded(fingerprint: &Fingerprint) -> String {
    forms::to_base64url(fingerprint.as_bytes())
}

/// 256 random bits, encoded.
///
/// # Errors
/// [`PossessionProblem::Fault`] when there are none.
pub fn random() -> Result<String, PossessionProblem> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| PossessionProblem::Fault)?;
    Ok(forms::to_base64url(&bytes))
}

/// The role that is written so.
pub fn role(word: &str) -> Option<Role> {
    [Role::Tls, Role::Encryption, Role::Signature]
        .into_iter()
        .find(|role| role.as_str() == word)
}

/// The signature algorithm that is written so.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ]
    .into_iter()
    .find(|algorithm| jws::name(*algorithm) == name)
}

impl Challenge {
    /// The challenge as it travels, signed by us.
    ///
    /// # Errors
    /// [`PossessionProblem::Fault`] when the key fails.
    pub fn sign(&self, signer: &DetachedSigner) -> Result<String, PossessionProblem> {
        let header = json!({
            "alg": jws::name(signer.algorithm()),
            "typ": CHALLENGE,
            "x5t#S256": encoded(&signer.fingerprint()),
        });
        let mut claims = json!({
            "aud": self.audience,
            "sub": self.partner,
            "role": self.role.as_str(),
            "cert": encoded(&self.certificate),
            "tls": self.connection,
            "at": self.issued.ms(),
        });
        if let Some(claims) = claims.as_object_mut() {
            if let Some(algorithm) = self.algorithm {
                claims.insert("alg".to_owned(), json!(jws::name(algorithm)));
            }
            match &self.nonce {
                Nonce::Signed(nonce) => claims.insert("nonce".to_owned(), json!(nonce)),
                Nonce::Hidden(hash) => {
                    claims.insert("hidden".to_owned(), json!(forms::to_base64url(hash)))
                }
            };
        }
        let signed = joined(&header, &claims);
        let signature = signer
            .key()
            .sign(signer.algorithm(), signed.as_bytes())
            .map_err(|_| PossessionProblem::Fault)?;
        Ok(format!("{signed}.{}", forms::to_base64url(&signature)))
    }

    /// What a challenge says, when `key` finds the key of ours that signed it.
    ///
    /// # Errors
    /// [`PossessionProblem`] when it is none of ours.
    pub fn read<'k>(
        text: &str,
        key: impl FnOnce(&Fingerprint) -> Option<&'k VerifyingKey>,
    ) -> Result<Self, PossessionProblem> {
        let parts = Parts::of(text)?;
        let members = ["alg", "typ", "x5t#S256"];
        if parts.header.len() != members.len() || parts.text("typ") != Some(CHALLENGE) {
            return Err(PossessionProblem::Form("the header of a challenge"));
        }
        let signer = (parts.text("x5t#S256")).and_then(from_thumbprint);
        let key = signer.and_then(|signer| key(&signer));
        let key = key.ok_or(PossessionProblem::Wrong("no key of ours signed it"))?;
        if parts.text("alg") != Some(jws::name(key.algorithm())) {
            return Err(PossessionProblem::Wrong("another algorithm than the key's"));
        }
        key.verify(parts.signed.as_bytes(), &parts.signature)
            .map_err(|_| PossessionProblem::Wrong("the signature does not fit"))?;
        Self::claims(&parts.claims).ok_or(PossessionProblem::Form("the claims of a challenge"))
    }

    fn claims(claims: &Map<String, Value>) -> Option<Self> {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let nonce = match (text("nonce"), text("hidden")) {
            (Some(nonce), None) => Nonce::Signed(nonce.to_owned()),
            (None, Some(hash)) => Nonce::Hidden(forms::base64url(hash)?.try_into().ok()?),
            _ => return None,
        };
        Some(Self {
            audience: text("aud")?.to_owned(),
            partner: text("sub")?.to_owned(),
            role: role(text("role")?)?,
            algorithm: match text("alg") {
                Some(name) => Some(algorithm(name)?),
                None => None,
            },
            certificate: from_thumbprint(text("cert")?)?,
            connection: text("tls")?.to_owned(),
            issued: Moment::from_ms(claims.get("at")?.as_i64()?),
            nonce,
        })
    }

    /// Whether the proof answers it: with the key of the certificate that it names, for what it is good for, and no other.
    ///
    /// # Errors
    /// Why not.
    pub fn answered(&self, key: &PublicKey, proof: &str) -> Result<(), PossessionProblem> {
        match &self.nonce {
            Nonce::Hidden(hash) => {
                let bytes = forms::base64url(proof).filter(|bytes| bytes.len() == 32);
                let bytes = bytes.ok_or(PossessionProblem::Form("not 256 bits in base64url"))?;
                let given = forms::sha256(&bytes);
                let fits = subtle::ConstantTimeEq::ct_eq(&given[..], &hash[..]);
                if bool::from(fits) {
                    Ok(())
                } else {
                    Err(PossessionProblem::Wrong("not what was sealed to the key"))
                }
            }
            Nonce::Signed(nonce) => {
                let parts = Parts::of(proof)?;
                if parts.header.len() != 2 || parts.text("typ") != Some(PROOF) {
                    return Err(PossessionProblem::Form("the header is not alg and typ"));
                }
                if parts.text("alg") != Some(proof_algorithm(key.kind(), self.algorithm)) {
                    return Err(PossessionProblem::Wrong(
                        "another algorithm than is asked for",
                    ));
                }
                verify_possession(
                    key,
                    self.algorithm,
                    parts.signed.as_bytes(),
                    &parts.signature,
                )
                .map_err(|_| PossessionProblem::Wrong("not signed by the new key"))?;
                if Value::Object(parts.claims) == self.to_prove(nonce) {
                    Ok(())
                } else {
                    Err(PossessionProblem::Wrong("signed for something else"))
                }
            }
        }
    }

    /// What a proof or a sealed challenge says, exactly.
    fn to_prove(&self, nonce: &str) -> Value {
        to_prove(
            &self.audience,
            &self.partner,
            self.role,
            &self.certificate,
            nonce,
        )
    }

    /// What is sealed to a key that decrypts; the answer is `nonce`.
    pub fn to_seal(&self, nonce: &str) -> Vec<u8> {
        self.to_prove(nonce).to_string().into_bytes()
    }
}

fn to_prove(
    audience: &str,
    partner: &str,
    role: Role,
    certificate: &Fingerprint,
    nonce: &str,
) -> Value {
    json!({
        "aud": audience,
        "sub": partner,
        "role": role.as_str(),
        "x5t#S256": encoded(certificate),
        "nonce": nonce,
    })
}

/// The partner's side: what is proven, to whom.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The party of the gateway that asks.
    pub audience: &'a str,
    /// Us, as that gateway knows us.
    pub partner: &'a str,
    /// The role of the new certificate.
    pub role: Role,
    /// The algorithm that will be bound to its key.
    pub algorithm: Option<Algorithm>,
    /// The new certificate.
    pub certificate: Fingerprint,
}

impl Claim<'_> {
    /// The proof of a key that signs.
    ///
    /// # Errors
    /// [`PossessionProblem::Fault`] when the key cannot sign with the algorithm.
    pub fn prove(&self, key: &KeyEntry, nonce: &str) -> Result<String, PossessionProblem> {
        let alg = proof_algorithm(key.kind, self.algorithm);
        let claims = self.says(nonce);
        let signed = joined(&json!({"alg": alg, "typ": PROOF}), &claims);
        let signature = key
            .prove_possession(self.algorithm, signed.as_bytes())
            .map_err(|_| PossessionProblem::Fault)?;
        Ok(format!("{signed}.{}", forms::to_base64url(&signature)))
    }

    /// The answer to what was sealed to a key that decrypts. Only a challenge of the one form, about this very claim, is answered: a
    /// gateway must not have anything else opened for it.
    ///
    /// # Errors
    /// Why it is not answered.
    pub fn open(&self, sealed: &str, key: &ContentUnwrapKey) -> Result<String, PossessionProblem> {
        let body = jose::SealedBody::parse(sealed.to_owned().into())
            .map_err(|_| PossessionProblem::Form("what is sealed is no JWE of the form"))?;
        if body.recipient() != self.certificate {
            return Err(PossessionProblem::Wrong("sealed to another certificate"));
        }
        let plain = body
            .open(key)
            .map_err(|_| PossessionProblem::Wrong("it does not open with the new key"))?;
        let says = strict::object(&plain.content, TEXT_MAX)
            .map_err(|_| PossessionProblem::Form("what is sealed is no JSON object"))?;
        let nonce = says.get("nonce").and_then(Value::as_str);
        let nonce = nonce
            .filter(|nonce| forms::base64url(nonce).is_some_and(|bytes| bytes.len() == 32))
            .ok_or(PossessionProblem::Form("256 bits are missing"))?
            .to_owned();
        if plain.media_type != SEALED || Value::Object(says) != self.says(&nonce) {
            return Err(PossessionProblem::Wrong("sealed for something else"));
        }
        Ok(nonce)
    }

    fn says(&self, nonce: &str) -> Value {
        to_prove(
            self.audience,
            self.partner,
            self.role,
            &self.certificate,
            nonce,
        )
    }
}

fn from_thumbprint(text: &str) -> Option<Fingerprint> {
    let bytes: [u8; 32] = forms::base64url(text)?.try_into().ok()?;
    Some(Fingerprint::from_bytes(bytes))
}

fn joined(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| forms::to_base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// A compact JWS, split strictly; nothing of it is believed.
struct Parts {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Parts {
    fn of(text: &str) -> Result<Self, PossessionProblem> {
        let form = || PossessionProblem::Form("no compact JWS of strict JSON");
        if text.len() > TEXT_MAX {
            return Err(form());
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(form)?;
        let (header, claims) = signed.split_once('.').ok_or_else(form)?;
        let object = |part: &str| {
            let bytes = forms::base64url(part)?;
            strict::object(&bytes, TEXT_MAX).ok()
        };
        Ok(Self {
            header: object(header).ok_or_else(form)?,
            claims: object(claims).ok_or_else(form)?,
            signed: signed.to_owned(),
            signature: forms::base64url(signature)
                .filter(|bytes| !bytes.is_empty())
                .ok_or_else(form)?,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests;
