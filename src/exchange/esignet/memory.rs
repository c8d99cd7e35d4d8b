//! What is remembered beyond one exchange: whom an access token is about, and which assertions were used. Both are bounded in
//! number and time, and hold digests instead of tokens.

use std::collections::{BTreeMap, HashMap};

use crate::{
    clock::Moment,
    envelope::sha256,
    refusal::{Code, Refusal},
};

/// Access tokens that are remembered at once.
const TOKENS_MAX: usize = 50_000;
/// For how long at most, whatever a token says.
const TOKEN_LIFE_MAX_MS: i64 = 3_600_000;
/// Assertions that are remembered at once.
const ASSERTIONS_MAX: usize = 100_000;

type Digest = [u8; 32];

/// Who logged in, and for which client.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The subject of the id token.
    pub subject: String,
    /// The client.
    pub client: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

/// Access tokens that were obtained through this gateway.
#[derive(Debug, Default)]
pub struct Tokens(Bounded<Login>);

impl Tokens {
    /// Remembers a token for as long as it holds.
    ///
    /// # Errors
    /// `GW-001` when too many are remembered.
    pub fn remember(
        &mut self,
        token: &str,
        login: Login,
        life_ms: i64,
        now: Moment,
    ) -> Result<(), Refusal> {
        let until = now.plus_ms(life_ms.clamp(0, TOKEN_LIFE_MAX_MS));
        let kept = self
            .0
            .put(sha256(token.as_bytes()), login, until, now, TOKENS_MAX);
        kept.map_err(|_| Refusal::new(Code::Overloaded, "too many access tokens are remembered"))
    }

    /// Who logged in for this token.
    pub fn login(&self, token: &str, now: Moment) -> Option<Login> {
        self.0.get(&sha256(token.as_bytes()), now).cloned()
    }
}

/// Assertions of clients that were used, by client and `jti`.
#[derive(Debug, Default)]
pub struct Assertions(Bounded<()>);

impl Assertions {
    /// Takes an assertion once, for as long as it holds.
    ///
    /// # Errors
    /// `ESG-006` when the client used that `jti` before; `FRS-006` when too many are remembered.
    pub fn take(
        &mut self,
        client: &str,
        jti: &str,
        until: Moment,
        now: Moment,
    ) -> Result<(), Refusal> {
        // Neither can hold a zero byte: a claim that does is not taken.
        let digest = sha256(format!("{client}\0{jti}").as_bytes());
        if self.0.get(&digest, now).is_some() {
            return Err(Refusal::new(
                Code::AssertionReplayed,
                "`jti` was used before",
            ));
        }
        (self.0.put(digest, (), until, now, ASSERTIONS_MAX))
            .map_err(|_| Refusal::new(Code::ReplayFull, "too many assertions are remembered"))
    }
}

/// A map whose entries end by themselves.
#[derive(Debug)]
struct Bounded<V> {
    entries: HashMap<Digest, (V, Moment)>,
    /// By their end, so that those that have ended are found.
    ends: BTreeMap<(i64, Digest), ()>,
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            ends: BTreeMap::new(),
        }
    }
}

struct Full;

impl<V> Bounded<V> {
    fn put(
        &mut self,
        key: Digest,
        value: V,
        until: Moment,
        now: Moment,
        max: usize,
    ) -> Result<(), Full> {
        while let Some(first) = self.ends.first_entry() {
            if first.key().0 > now.ms() {
                break;
            }
            let ((_, ended), ()) = first.remove_entry();
            self.entries.remove(&ended);
        }
        if let Some((_, old)) = self.entries.remove(&key) {
            self.ends.remove(&(old.ms(), key));
        }
        if self.entries.len() >= max {
            return Err(Full);
        }
        self.entries.insert(key, (value, until));
        self.ends.insert((until.ms(), key), ());
        Ok(())
    }

    fn get(&self, key: &Digest, now: Moment) -> Option<&V> {
        let (value, until) = self.entries.get(key)?;
        (now < *until).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_000_000);

    #[test]
    fn an_assertion_is_taken_once_while_it_holds() {
        let mut memory = Assertions::default();
        let until = NOW.plus_ms(300_000);
        assert!(memory.take("a", "1", until, NOW).is_ok());
        let again = memory.take("a", "1", until, NOW.plus_ms(299_999));
        assert_eq!(again.unwrap_err().code(), Code::AssertionReplayed);
        assert!(memory.take("b", "1", until, NOW).is_ok());
        assert!(memory.take("a", "2", until, NOW).is_ok());
        assert!(memory.take("a", "1", until.plus_ms(1), until).is_ok());
    }

    #[test]
    fn a_token_is_known_until_its_end_and_an_hour_at_most() {
        let mut memory = Tokens::default();
        let login = Login {
            subject: "s".to_owned(),
            client: "c".to_owned(),
        };
        memory.remember("t", login.clone(), 60_000, NOW).unwrap();
        assert_eq!(memory.login("t", NOW.plus_ms(59_999)), Some(login.clone()));
        assert_eq!(memory.login("t", NOW.plus_ms(60_000)), None);
        assert_eq!(memory.login("T", NOW), None);
        memory.remember("t", login, i64::MAX, NOW).unwrap();
        assert_eq!(memory.login("t", NOW.plus_ms(TOKEN_LIFE_MAX_MS)), None);
    }

    #[test]
    fn what_is_full_refuses_until_something_ends() {
        let mut bounded = Bounded::default();
        let key = |n: u8| [n; 32];
        for n in 0..3 {
            let put = bounded.put(key(n), n, NOW.plus_ms(i64::from(n) + 1), NOW, 3);
            assert!(put.is_ok());
        }
        assert!(bounded.put(key(9), 9, NOW.plus_ms(9), NOW, 3).is_err());
        assert!(
            bounded
                .put(key(9), 9, NOW.plus_ms(9), NOW.plus_ms(1), 3)
                .is_ok()
        );
        assert_eq!((bounded.entries.len(), bounded.ends.len()), (3, 3));
    }
}
