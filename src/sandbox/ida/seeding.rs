//! What the token seeder asks of IDA: does this demographic data belong to this id, and what may the partner know the person
//! by? The seeder stands inside MOSIP, so it asks without a wire in between; the checks and codes are the same.

use serde_json::{Map, Value};

use super::{
    Ida,
    failure::Failure,
    inner::Demographics,
    matching, token,
    validate::{self, IdType},
};
use crate::{clock::Moment, sandbox::people::Lockable};

impl Ida {
    /// The `authToken` of kind `partner` of the individual, or MOSIP's codes and texts.
    ///
    /// # Errors
    /// With every reason, in IDA's order.
    pub fn seed(
        &self,
        partner: &str,
        individual: &str,
        demographics: Map<String, Value>,
        now: Moment,
    ) -> Result<String, Vec<(String, String)>> {
        self.seeded(partner, individual, demographics, now)
            .map_err(|failures| {
                failures
                    .into_iter()
                    .map(|failure| {
                        (
                            failure.error_code.to_owned(),
                            failure.error_message.into_owned(),
                        )
                    })
                    .collect()
            })
    }

    fn seeded(
        &self,
        partner: &str,
        individual: &str,
        demographics: Map<String, Value>,
        now: Moment,
    ) -> Result<String, Vec<Failure>> {
        let one = |failure| vec![failure];
        let outer = Map::from_iter([("individualId".to_owned(), individual.into())]);
        let individual = validate::individual(&outer).map_err(one)?;
        if individual.id_type == IdType::Handle {
            return Err(one(Failure::new("IDA-MLC-004", "Invalid VID")));
        }
        let stated: Demographics = serde_json::from_value(Value::Object(demographics))
            .map_err(|_| one(Failure::invalid("demographics")))?;
        let person = self.person(&individual).map_err(one)?;
        if person.locked.contains(&Lockable::Demo) {
            return Err(one(super::controller::locked("demo")));
        }
        let failures = matching::demographics(&stated, &person, now);
        if !failures.is_empty() {
            return Err(failures);
        }
        token::stable(&self.secret, "partner", &person.uin, partner)
            .map_err(|_| one(Failure::generic()))
    }
}
