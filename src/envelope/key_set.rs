//! A published key set (RFC 7517), as E-Signet has it: read whole or not at all, asked by exact `kid`.

use std::{collections::HashMap, fmt};

use serde_json::Value;

use super::json;
use crate::{
    clock::Moment,
    config::Algorithm,
    keys::{PublicKey, VerifyingKey},
};

/// Keys in one set.
const KEYS_MAX: usize = 64;
/// Bytes of a `kid`.
const KID_MAX: usize = 256;
/// Bytes of a set.
pub const KEY_SET_MAX: usize = 256 << 10;

/// Why a key set is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key set: {0}")]
pub struct KeySetProblem(&'static str);

/// The keys of a set that can verify.
#[derive(Clone)]
pub struct KeySet(HashMap<String, Published>);

#[derive(Clone)]
struct Published {
    key: PublicKey,
    expires: Option<Moment>,
}

impl KeySet {
    /// Reads a set. Keys of kinds that are not ours, and those for encryption, are left out.
    ///
    /// # Errors
    /// When it is no strict JSON of the form, two keys have one `kid`, or no key is left.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetProblem> {
        let set = json::object(text, KEY_SET_MAX).map_err(|_| KeySetProblem("not strict JSON"))?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(KeySetProblem("`keys` is no array"));
        };
        if entries.len() > KEYS_MAX {
            return Err(KeySetProblem("too many keys"));
        }
        let mut keys = HashMap::new();
        for entry in entries {
            let Value::Object(jwk) = entry else {
                return Err(KeySetProblem("a key is no object"));
            };
            let kid = match jwk.get("kid") {
                Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= KID_MAX => kid,
                _ => return Err(KeySetProblem("a key without a short `kid`")),
            };
            if jwk.get("use").is_some_and(|usage| usage != "sig") {
                continue;
            }
            let Ok(key) = PublicKey::from_jwk(jwk) else {
                continue;
            };
            let expires = jwk.get("exp").and_then(end);
            let published = Published { key, expires };
            if keys.insert(kid.clone(), published).is_some() {
                return Err(KeySetProblem("two keys with one `kid`"));
            }
        }
        if keys.is_empty() {
            return Err(KeySetProblem("no key that can verify"));
        }
        Ok(Self(keys))
    }

    /// The key of that exact name, used with the agreed algorithm.
    pub fn key(&self, kid: &str, algorithm: Algorithm, now: Moment) -> Option<VerifyingKey> {
        let found = self.0.get(kid)?;
        if found.expires.is_some_and(|end| end <= now) {
            return None;
        }
        VerifyingKey::new(&found.key, algorithm).ok()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true of a set that was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

/// The end of a key: seconds in MOSIP's code, a time in its documentation. What is neither is left out of account.
fn end(value: &Value) -> Option<Moment> {
    match value {
        Value::Number(seconds) => seconds.as_i64().map(Moment::from_s),
        Value::String(text) => super::time::parse(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // The point of a key that was thrown away.
    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn key(kid: &str) -> Value {
        json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": X, "y": Y, "use": "sig"})
    }

    fn set(keys: &[Value]) -> Result<KeySet, KeySetProblem> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    const NOW: Moment = Moment::from_ms(1_700_000_000_000);

    #[test]
    fn a_key_is_found_by_its_exact_name_and_for_its_own_kind_of_algorithm() {
        let set = set(&[key("a"), key("b")]).unwrap();
        assert!(set.key("a", Algorithm::ES256, NOW).is_some());
        assert!(set.key("A", Algorithm::ES256, NOW).is_none());
        assert!(set.key("a", Algorithm::RS256, NOW).is_none());
    }

    #[test]
    fn a_key_ends_when_it_says_in_either_form() {
        for end in [json!(1_700_000_001), json!("2023-11-14T22:13:21.000Z")] {
            let mut entry = key("a");
            entry["exp"] = end;
            let set = set(&[entry]).unwrap();
            assert!(set.key("a", Algorithm::ES256, NOW).is_some());
            assert!(set.key("a", Algorithm::ES256, NOW.plus_ms(999)).is_some());
            assert!(set.key("a", Algorithm::ES256, NOW.plus_ms(1_000)).is_none());
        }
    }

    #[test]
    fn a_set_is_taken_whole_or_not_at_all() {
        assert!(set(&[key("a"), key("a")]).is_err());
        assert!(set(&[key("a"), json!(1)]).is_err());
        assert!(set(&[json!({"kty": "EC"})]).is_err());
        assert!(set(&[]).is_err());
        let many: Vec<Value> = (0..65).map(|n| key(&n.to_string())).collect();
        assert!(set(&many).is_err());
        assert!(KeySet::parse(b"{\"errors\":[]}").is_err());
        // What cannot verify is left out.
        let mut encryption = key("b");
        encryption["use"] = "enc".into();
        let octets = json!({"kid": "c", "kty": "oct", "k": "AAAA"});
        assert_eq!(
            set(&[key("a"), encryption.clone(), octets.clone()])
                .unwrap()
                .len(),
            1
        );
        assert!(set(&[encryption, octets]).is_err());
    }
}
