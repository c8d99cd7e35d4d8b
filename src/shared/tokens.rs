//! A token that one gateway fetched, for all of them: a lease says who fetches, and the token lies at the server encrypted.

use std::{fmt, io, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::redis::{Gone, Redis};
use crate::{
    keys::Secret,
    store::{Place, Vault},
};

/// How long a fetch may take before another gateway tries.
const LEASE_MS: i64 = 20_000;
/// Between two looks at what another gateway fetches.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long another gateway is waited for.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Tokens at the shared server.
pub struct Tokens {
    redis: Arc<Redis>,
    vault: Vault,
}

/// The right to fetch; given back when told of the outcome, or by itself after a while.
#[derive(Debug)]
pub struct Turn {
    name: String,
    word: String,
}

/// What another gateway left for us.
pub enum Found {
    /// A token, as it was put there.
    Token(Zeroizing<Vec<u8>>),
    /// Nothing: it is our turn.
    Turn(Turn),
}

impl Tokens {
    pub(super) fn new(keys: &[Arc<Secret>], redis: &Arc<Redis>) -> io::Result<Option<Self>> {
        if keys.is_empty() {
            return Ok(None);
        }
        let keys: Vec<Secret> = (keys.iter())
            .map(|key| Secret::new(key.expose().to_vec()))
            .collect();
        let vault = Vault::new(&keys).map_err(io::Error::other)?;
        Ok(Some(Self {
            redis: Arc::clone(redis),
            vault,
        }))
    }

    /// The token of that name if `fits` takes it; else the turn to fetch it, which is waited for while another gateway has it.
    ///
    /// # Errors
    /// When the server cannot be asked, or another gateway takes too long: then each fetches its own.
    pub async fn find(
        &self,
        name: &str,
        fits: impl Fn(&[u8]) -> bool + Send,
    ) -> Result<Found, Gone> {
        let word = word();
        let waiting = async {
            loop {
                if let Some(token) = self.get(name).await?.filter(|token| fits(token)) {
                    return Ok(Found::Token(token));
                }
                if self.redis.lease(name, &word, LEASE_MS).await? {
                    let turn = Turn {
                        name: name.to_owned(),
                        word: word.clone(),
                    };
                    // It may have come between the two questions.
                    if let Some(token) = self.get(name).await?.filter(|token| fits(token)) {
                        self.end(turn).await;
                        return Ok(Found::Token(token));
                    }
                    return Ok(Found::Turn(turn));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, waiting)
            .await
            .unwrap_or_else(|_| {
                Err(Gone {
                    why: "another gateway takes too long to fetch the token".to_owned(),
                    alone_ms: None,
                })
            })
    }

    /// Leaves a token for the others and ends the turn.
    pub async fn leave(&self, turn: Turn, token: &[u8], for_ms: i64) {
        match self.vault.seal(place(&turn.name), token) {
            Ok(sealed) => {
                if let Err(gone) = self.redis.put(&turn.name, &sealed.bytes, for_ms).await {
                    tracing::warn!(why = gone.why, "a token could not be shared");
                }
            }
            Err(error) => tracing::error!(%error, "a token could not be encrypted"),
        }
        self.end(turn).await;
    }

    /// Ends a turn without a token.
    pub async fn end(&self, turn: Turn) {
        if let Err(gone) = self.redis.release(&turn.name, &turn.word).await {
            tracing::debug!(why = gone.why, "a lease ends by itself");
        }
    }

    /// The token as it was put; what does not open under our keys is none.
    async fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Gone> {
        let Some(sealed) = self.redis.get(name).await? else {
            return Ok(None);
        };
        Ok(self.vault.open(place(name), &sealed).ok())
    }
}

fn place(name: &str) -> Place<'_> {
    Place {
        kind: "shared token",
        key: name,
        column: "token",
    }
}

/// A word that nobody else has.
fn word() -> String {
    let mut random = [0_u8; 16];
    // Without randomness no word is taken for ours: two gateways might then fetch at once, which harms nobody.
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("{:032x}", u128::from_be_bytes(random))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}
