//! One fetch for all gateways that act as one, where they share state and a key; else each for itself.

use http::HeaderValue;
use zeroize::Zeroizing;

use super::{Login, Token};
use crate::{
    clock::Moment,
    observe::Metrics,
    refusal::Refusal,
    shared::{Found, Tokens},
};

impl Login {
    /// The token that another gateway left, or one that we fetch and leave. When the shared state cannot be asked, we fetch
    /// alone: two tokens harm nobody.
    pub(super) async fn fetch_among_all(
        &self,
        tokens: &Tokens,
        metrics: &Metrics,
    ) -> Result<Token, Refusal> {
        let name = format!("token:{}:{}", self.spec.name, self.spec.client_id);
        let unwanted = self.state().unwanted.clone();
        let fits = |text: &[u8]| {
            let now = self.clock.now();
            read(text).is_some_and(|token| {
                token.holds(now) && !token.ages(now) && unwanted.as_ref() != Some(&token.cookie)
            })
        };
        match tokens.find(&name, fits).await {
            Ok(Found::Token(text)) => match read(&text) {
                Some(token) => {
                    let labels = [self.name(), "shared"];
                    metrics.logins.with_label_values(&labels).inc();
                    let mut state = self.state();
                    state.failed = None;
                    state.token = Some(token.clone());
                    Ok(token)
                }
                None => self.fetch_alone(metrics).await,
            },
            Ok(Found::Turn(turn)) => {
                let fetched = self.fetch_alone(metrics).await;
                match fetched.as_ref().ok().and_then(write) {
                    Some((text, life_ms)) => tokens.leave(turn, &text, life_ms).await,
                    None => tokens.end(turn).await,
                }
                fetched
            }
            Err(gone) => {
                tracing::warn!(
                    login = self.name(),
                    why = gone.why,
                    "a token is fetched for this gateway alone"
                );
                self.fetch_alone(metrics).await
            }
        }
    }
}

/// A token as text, and for how long it is worth keeping.
fn write(token: &Token) -> Option<(Zeroizing<Vec<u8>>, i64)> {
    let cookie = token.cookie.to_str().ok()?;
    let (fetched, expires) = (token.fetched.ms(), token.expires.ms());
    let text = format!("{fetched} {expires} {cookie}").into_bytes();
    Some((Zeroizing::new(text), token.life_ms()))
}

fn read(text: &[u8]) -> Option<Token> {
    let mut parts = std::str::from_utf8(text).ok()?.splitn(3, ' ');
    let mut moment = || parts.next()?.parse().ok().map(Moment::from_ms);
    let (fetched, expires) = (moment()?, moment()?);
    let mut cookie = HeaderValue::from_str(parts.next()?).ok()?;
    cookie.set_sensitive(true);
    Some(Token {
        cookie,
        fetched,
        expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = Token {
            cookie: HeaderValue::from_static("Authorization=a.b.c"),
            fetched: Moment::from_ms(5),
            expires: Moment::from_ms(3_600_005),
        };
        let (text, life_ms) = write(&token).unwrap();
        assert_eq!(life_ms, 3_600_000);
        let back = read(&text).unwrap();
        assert_eq!(
            (back.cookie.clone(), back.fetched, back.expires),
            (token.cookie, token.fetched, token.expires)
        );
        assert!(back.cookie.is_sensitive());
        for bad in ["", "1 2", "x 2 c", "1 2 a\nb"] {
            assert!(read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
