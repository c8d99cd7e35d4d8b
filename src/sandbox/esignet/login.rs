//! What happens behind the pages: a login is begun, a person shows who they are, consents or not, and is sent back with a
//! code. Each step belongs to the browser that began, by a cookie.

use http::{
    HeaderMap, StatusCode,
    header::{LOCATION, SET_COOKIE},
};

use super::{
    Esignet,
    authorize::{Asked, Refused},
    misbehave::Place,
    page, static_code,
    token::Grant,
};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        people::Standing,
        web::{Form, answer, cookie, no_store, random_text, with_header},
    },
};

/// After so many wrong codes the login ends.
const ATTEMPTS: u32 = 5;
/// The cookie that ties a login to a browser.
const COOKIE: &str = "esignet_login";

/// A login that is under way.
#[derive(Clone, Debug)]
pub(super) struct Login {
    browser: String,
    asked: Asked,
    who: Option<Who>,
    wrong: u32,
}

/// Who has shown who they are.
#[derive(Clone, Debug)]
struct Who {
    individual: String,
    uin: String,
    at: Moment,
}

impl Esignet {
    /// `GET /authorize`.
    pub(super) fn begin(&self, query: &Form, now: Moment) -> IdaAnswer {
        let asked = match self.pushed_or(query, now) {
            Ok(asked) => asked,
            Err(Refused::Here(why)) => return page::problem(StatusCode::BAD_REQUEST, why),
            Err(Refused::Back(address)) => return redirect(&address),
        };
        let Some((id, browser)) = random_text(24).zip(random_text(24)) else {
            return page::problem(StatusCode::INTERNAL_SERVER_ERROR, "Please try again.");
        };
        let shown = page::login(self, &asked, &id, None);
        let login = Login {
            browser: browser.clone(),
            asked,
            who: None,
            wrong: 0,
        };
        let until = now.plus_ms(self.config.lifetimes.login_s.saturating_mul(1000));
        self.lock().logins.put(id, login, until, now);
        with_header(
            shown,
            SET_COOKIE,
            &format!("{COOKIE}={browser}; Path=/authorize; HttpOnly; SameSite=Lax"),
        )
    }

    /// `POST /authorize/login`.
    pub(super) fn log_in(&self, headers: &HeaderMap, form: &Form, now: Moment) -> IdaAnswer {
        let mut state = self.lock();
        let Some((id, login)) = of_browser(&mut state.logins, headers, form, now) else {
            return over();
        };
        let individual = form.get("individual_id").unwrap_or_default().trim();
        let person = self
            .config
            .people
            .by_either(individual)
            .filter(|person| person.standing == Standing::Active)
            .filter(|person| form.get("code") == Some(static_code(person)));
        if let Some(person) = person {
            login.who = Some(Who {
                individual: individual.to_owned(),
                uin: person.uin.clone(),
                at: now,
            });
            return page::consent(self, &login.asked, id);
        }
        login.wrong = login.wrong.saturating_add(1);
        if login.wrong < ATTEMPTS {
            return page::login(
                self,
                &login.asked,
                id,
                Some("This ID and this code do not belong together. Check both."),
            );
        }
        let address = login.asked.back(
            &self.config.issuer(),
            &[
                ("error", "access_denied"),
                ("error_description", "too many wrong codes"),
            ],
        );
        state.logins.take(id, now);
        redirect(&address)
    }

    /// `POST /authorize/consent`.
    pub(super) fn consent(&self, headers: &HeaderMap, form: &Form, now: Moment) -> IdaAnswer {
        let mut state = self.lock();
        let Some((id, _)) = of_browser(&mut state.logins, headers, form, now) else {
            return over();
        };
        // Whatever comes of it, this login is over.
        let Some(login) = state.logins.take(id, now) else {
            return over();
        };
        let issuer = self.config.issuer();
        let Login {
            asked,
            who: Some(who),
            ..
        } = login
        else {
            return over();
        };
        if form.get("decision") != Some("allow") {
            return redirect(&asked.back(
                &issuer,
                &[
                    ("error", "access_denied"),
                    ("error_description", "the person said no"),
                ],
            ));
        }
        let ticked: Vec<&str> = form.names_after("claim.").collect();
        let voluntary = asked
            .voluntary
            .iter()
            .filter(|claim| ticked.contains(&claim.as_str()));
        let consented = asked.essential.iter().chain(voluntary).cloned().collect();
        let Some(code) = random_text(32) else {
            return page::problem(StatusCode::INTERNAL_SERVER_ERROR, "Please try again.");
        };
        let address = asked.back(&issuer, &[("code", &code)]);
        let expired = state.faults.next(Place::Code).is_some();
        let seconds = if expired {
            0
        } else {
            self.config.lifetimes.code_s
        };
        let grant = Grant {
            asked,
            individual: who.individual,
            uin: who.uin,
            consented,
            authenticated: who.at,
            expires: now.plus_ms(seconds.saturating_mul(1000)),
            access: None,
        };
        // Kept beyond its end, so that a second use is noticed and takes back what the first one gave.
        let until = now.plus_ms(self.config.lifetimes.token_s.saturating_mul(1000));
        state.codes.put(code, grant, until, now);
        redirect(&address)
    }
}

/// The login that a form names, if it was begun in this browser.
fn of_browser<'s, 'f>(
    logins: &'s mut crate::sandbox::web::Shelf<Login>,
    headers: &HeaderMap,
    form: &'f Form,
    now: Moment,
) -> Option<(&'f str, &'s mut Login)> {
    let id = form.get("transaction")?;
    let browser = cookie(headers, COOKIE)?;
    logins
        .get_mut(id, now)
        .filter(|login| login.browser == browser)
        .map(|login| (id, login))
}

fn over() -> IdaAnswer {
    page::problem(
        StatusCode::BAD_REQUEST,
        "This login has ended or began in another browser. Go back to the service and start again.",
    )
}

fn redirect(address: &str) -> IdaAnswer {
    let to = answer(
        StatusCode::SEE_OTHER,
        "text/plain;charset=UTF-8",
        Vec::new(),
    );
    no_store(with_header(to, LOCATION, address))
}
