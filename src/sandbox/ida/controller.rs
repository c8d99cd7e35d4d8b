//! What IDA does with a request that came through its filter: validate, find the individual, match, answer.

use std::sync::Arc;

use openssl::error::ErrorStack;
use serde_json::{Map, Value, json};

use super::{
    Ida, crypto,
    failure::{Failure, Stop},
    filter::{Arrived, Passed, scalar},
    inner::Demographics,
    kyc,
    log::ExchangeLog,
    matching,
    otp::{self, Asked},
    route::Route,
    signer, token,
    validate::{self, IdType, Individual},
};
use crate::{
    clock::Moment,
    sandbox::people::{Lockable, Person, Standing},
};

/// `response` and `errors` of an answer.
type Verdict = (Value, Vec<Failure>);

impl Ida {
    /// Filter, then controller.
    pub(super) fn decide(
        &self,
        arrived: &Arrived<'_>,
        outer: Map<String, Value>,
        log: &mut ExchangeLog,
    ) -> Result<Verdict, Stop> {
        let known = Arc::clone(&self.lock().known);
        let passed = self.filter(&known).pass(arrived, outer, log)?;
        match arrived.route {
            Route::Auth | Route::Kyc | Route::KycAuth => {
                self.authenticate(arrived.route, &passed, arrived.now, log)
            }
            Route::Otp => self.send_otp(&passed, arrived.now, log),
            Route::KycExchange => self.exchange(&passed, arrived.now, log),
            // The filter lets these through only under a MISP policy that this sandbox cannot honour.
            Route::KeyBinding | Route::VciExchange => Err(Stop::one(Failure::generic())),
        }
    }

    fn authenticate(
        &self,
        route: Route,
        passed: &Passed<'_>,
        now: Moment,
        log: &mut ExchangeLog,
    ) -> Result<Verdict, Stop> {
        let (individual, demographics) = validate::auth(
            &self.config,
            &passed.outer,
            &passed.inner,
            &passed.factors,
            now,
        )?;
        log.passed("consent, time and form");
        let person = &self.person(&individual).map_err(Stop::one)?;
        unlocked(person, passed).map_err(Stop::one)?;
        log.passed("individual is known");
        let token =
            token::auth_token(&self.secret, &person.uin, &passed.parties).map_err(unexpected)?;
        let failures =
            self.match_factors(passed, &individual, person, demographics.as_ref(), now)?;
        let matched = failures.is_empty();
        let response = match route {
            Route::Kyc => self
                .ekyc(passed, person, matched, &token, now)
                .map_err(Stop::one)?,
            Route::KycAuth => {
                let kyc_token = if matched {
                    let issued = self.lock().kyc_tokens.issue(
                        &self.secret,
                        &individual.id,
                        &passed.parties.api_key.key,
                        scalar(&passed.outer, "transactionID").unwrap_or_default(),
                        &token,
                        now,
                    );
                    Some(issued.map_err(unexpected)?)
                } else {
                    None
                };
                json!({"kycToken": kyc_token, "authToken": token, "kycStatus": matched})
            }
            Route::Auth
            | Route::Otp
            | Route::KycExchange
            | Route::KeyBinding
            | Route::VciExchange => {
                json!({"authStatus": matched, "authToken": token})
            }
        };
        log.outcome = if matched { "yes" } else { "no" };
        Ok((response, failures))
    }

    /// One factor after the other; the first that does not match ends it.
    fn match_factors(
        &self,
        passed: &Passed<'_>,
        individual: &Individual,
        person: &Person,
        demographics: Option<&Demographics>,
        now: Moment,
    ) -> Result<Vec<Failure>, Stop> {
        if let Some(code) = scalar(&passed.inner, "otp") {
            let asked = Asked {
                individual,
                uin: &person.uin,
                partner: &passed.parties.partner.id,
                transaction: scalar(&passed.outer, "transactionID").unwrap_or_default(),
            };
            let right = self
                .lock()
                .otp
                .check(self.config.otp, asked, code, now)
                .map_err(Stop::one)?;
            if !right {
                return Ok(vec![
                    Failure::new("IDA-OTA-004", "OTP is invalid")
                        .acting("Please provide correct OTP value"),
                ]);
            }
        }
        Ok(demographics.map_or_else(Vec::new, |stated| {
            matching::demographics(stated, person, now)
        }))
    }

    fn ekyc(
        &self,
        passed: &Passed<'_>,
        person: &Person,
        matched: bool,
        token: &str,
        now: Moment,
    ) -> Result<Value, Failure> {
        if !matched {
            return Ok(json!({
                "kycStatus": false, "authToken": token,
                "thumbprint": null, "identity": null, "sessionKey": null,
            }));
        }
        let policy = &passed.parties.api_key.policy.document;
        let identity = kyc::identity(policy, &self.config.languages, person, now);
        let sealed = kyc::seal(&identity, passed.parties.partner)?;
        Ok(json!({
            "kycStatus": true, "authToken": token,
            "thumbprint": sealed.thumbprint, "identity": sealed.identity, "sessionKey": sealed.session_key,
        }))
    }

    fn send_otp(
        &self,
        passed: &Passed<'_>,
        now: Moment,
        log: &mut ExchangeLog,
    ) -> Result<Verdict, Stop> {
        let (individual, channels) = validate::otp(&self.config, &passed.outer, now)?;
        log.passed("time and form");
        let person = &self.person(&individual).map_err(Stop::one)?;
        if person.locked.contains(&Lockable::Otp) {
            return Err(Stop::one(locked("otp")));
        }
        log.passed("individual is known");
        let asks = |name: &str| {
            channels
                .iter()
                .any(|channel| channel.eq_ignore_ascii_case(name))
        };
        let phone = person.phone.as_deref().filter(|_| asks("phone"));
        let email = person.email.as_deref().filter(|_| asks("email"));
        if phone.is_none() && email.is_none() {
            let what = channels.join(",");
            return Err(Stop::one(
                Failure::new(
                    "IDA-MLC-014",
                    format!("{what} not registered. Individual has to register and try again"),
                )
                .acting(format!("Please register your {what} and try again")),
            ));
        }
        let asked = Asked {
            individual: &individual,
            uin: &person.uin,
            partner: &passed.parties.partner.id,
            transaction: scalar(&passed.outer, "transactionID").unwrap_or_default(),
        };
        let code = six_digits().map_err(unexpected)?;
        self.lock()
            .otp
            .request(self.config.otp, asked, code, now)
            .map_err(Stop::one)?;
        log.outcome = "done";
        Ok((
            json!({"maskedMobile": phone.map(otp::masked_phone), "maskedEmail": email.map(otp::masked_email)}),
            Vec::new(),
        ))
    }

    fn exchange(
        &self,
        passed: &Passed<'_>,
        now: Moment,
        log: &mut ExchangeLog,
    ) -> Result<Verdict, Stop> {
        let individual = validate::exchange(&self.config, &passed.outer, now)?;
        log.passed("time and form");
        let person = &self.person(&individual).map_err(Stop::one)?;
        let subject = self
            .lock()
            .kyc_tokens
            .redeem(
                scalar(&passed.outer, "kycToken").unwrap_or_default(),
                &individual.id,
                &passed.parties.api_key.key,
                scalar(&passed.outer, "transactionID").unwrap_or_default(),
                self.config.kyc_token_s,
                now,
            )
            .map_err(Stop::one)?;
        log.passed("KYC token");
        let claims = kyc::claims(
            &passed.parties.api_key.policy.document,
            &words(&passed.outer, "consentObtained"),
            &words(&passed.outer, "locales"),
            person,
            &individual.id,
            subject,
        );
        let plain = serde_json::to_vec(&claims).map_err(|_| Stop::one(Failure::generic()))?;
        let mut token = self
            .signer
            .token(&plain)
            .map_err(|_| Stop::one(Failure::generic()))?;
        if scalar(&passed.outer, "respType").is_some_and(|kind| kind.eq_ignore_ascii_case("JWE")) {
            let unable = || Stop::one(Failure::new("IDA-MLC-020", "Unable to encrypt data"));
            let certificate = super::signature::certificate(&passed.parties.partner.certificate)
                .ok_or_else(unable)?;
            token = signer::nest(&token, &certificate).map_err(|_| unable())?;
        }
        log.outcome = "done";
        Ok((json!({"encryptedKyc": token}), Vec::new()))
    }

    /// The person behind an id.
    pub(super) fn person(&self, individual: &Individual) -> Result<Person, Failure> {
        let identities = &self.config.identities;
        let person = match individual.id_type {
            IdType::Uin => identities.by_uin(&individual.id),
            IdType::Vid => identities.by_vid(&individual.id),
            IdType::Handle => None,
        }
        .ok_or_else(|| {
            Failure::new(
                "IDA-MLC-018",
                format!("{} not available in database", individual.id_type.name()),
            )
        })?;
        match (person.standing, individual.id_type) {
            (Standing::Active, _) => Ok(person),
            (Standing::Deactivated, IdType::Vid) => Err(Failure::new(
                "IDA-MLC-010",
                "VID corresponding to a deactivated UIN",
            )),
            (Standing::Deactivated, IdType::Uin | IdType::Handle) => {
                Err(Failure::new("IDA-MLC-003", "UIN has been deactivated")
                    .acting("Your UIN status is not active"))
            }
        }
    }
}

fn unlocked(person: &Person, passed: &Passed<'_>) -> Result<(), Failure> {
    for (name, lock) in [("demo", Lockable::Demo), ("otp", Lockable::Otp)] {
        if passed.factors.has(name) && person.locked.contains(&lock) {
            return Err(locked(name));
        }
    }
    Ok(())
}

pub(super) fn locked(factor: &str) -> Failure {
    Failure::new(
        "IDA-MLC-019",
        format!("{factor} Auth Type is Locked for the UIN"),
    )
}

fn unexpected(_: ErrorStack) -> Stop {
    Stop::one(Failure::generic())
}

/// A list of strings; anything else is an empty one.
fn words(outer: &Map<String, Value>, member: &str) -> Vec<String> {
    outer
        .get(member)
        .and_then(Value::as_array)
        .map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

fn six_digits() -> Result<String, ErrorStack> {
    let bytes: [u8; 4] = crypto::random()?;
    Ok(format!("{:06}", u32::from_be_bytes(bytes) % 1_000_000))
}
