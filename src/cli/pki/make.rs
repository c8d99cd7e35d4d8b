//! `pki make` and `pki add`: a whole hierarchy, or one party more.

use std::path::PathBuf;

use clap::Args;

use super::{Done, Written, options::Replace};
use crate::{
    clock::Clock,
    pki::{self, Algorithm, Algorithms, PartyPlan, Plan, Validity},
};

#[derive(Debug, Args)]
pub(super) struct Make {
    /// The folder to write into; made if missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A party, as ID:ORGANISATION; may be said several times. The id `mosip` is MOSIP itself. Default: mosip, misp, crvs,
    /// seeder and sdk.
    #[arg(long = "party", value_name = "ID:ORGANISATION")]
    parties: Vec<PartyPlan>,
    /// Make wrong twins of this party, for tests and demonstrations. Default without --party: crvs.
    #[arg(long, value_name = "ID", conflicts_with = "no_twins")]
    twins_of: Option<String>,
    /// Make no wrong twins.
    #[arg(long)]
    no_twins: bool,
    /// The keys of the CAs.
    #[arg(long, value_name = "ALGORITHM", default_value = "rsa2048")]
    ca_algorithm: Algorithm,
    /// How many days the CAs are valid.
    #[arg(long, value_name = "N", default_value_t = 3653)]
    ca_days: u32,
    /// After how many days the next revocation lists are due.
    #[arg(long, value_name = "N", default_value_t = 30)]
    crl_days: u32,
    #[command(flatten)]
    party: PartyOptions,
    #[command(flatten)]
    replace: Replace,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The folder that `pki make` made.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The party, as ID:ORGANISATION.
    #[arg(long, value_name = "ID:ORGANISATION")]
    party: PartyPlan,
    #[command(flatten)]
    options: PartyOptions,
    #[command(flatten)]
    replace: Replace,
}

#[derive(Debug, Args)]
struct PartyOptions {
    /// A DNS name or IP address for the TLS certificates, beside the party's id and this machine's own; may be said
    /// several times.
    #[arg(long, value_name = "NAME")]
    tls_name: Vec<String>,
    /// The keys for TLS: rsa2048, rsa3072, rsa4096, p256, p384 or ed25519.
    #[arg(long, value_name = "ALGORITHM", default_value = "p256")]
    tls_algorithm: Algorithm,
    /// The keys for encryption; MOSIP's envelope needs RSA.
    #[arg(long, value_name = "ALGORITHM", default_value = "rsa2048")]
    encryption_algorithm: Algorithm,
    /// The keys for signatures.
    #[arg(long, value_name = "ALGORITHM", default_value = "rsa2048")]
    signature_algorithm: Algorithm,
    /// How many days the parties' certificates are valid.
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
    /// Give encryption and signature certificates a tidy form instead of MOSIP's.
    #[arg(long)]
    no_resign: bool,
}

impl PartyOptions {
    fn apply(&self, party: PartyPlan) -> PartyPlan {
        PartyPlan {
            algorithms: Algorithms {
                tls: self.tls_algorithm,
                encryption: self.encryption_algorithm,
                signature: self.signature_algorithm,
            },
            resign: !self.no_resign,
            alternative_names: self.tls_name.clone(),
            ..party
        }
    }
}

impl Make {
    pub(super) fn run(self, clock: &Clock) -> Done {
        let now = clock.now();
        let standard = Plan::standard(now);
        let (parties, twins_of) = if self.parties.is_empty() {
            (standard.parties, standard.twins_of)
        } else {
            (self.parties, None)
        };
        let mut plan = Plan::of(
            parties
                .into_iter()
                .map(|party| self.party.apply(party))
                .collect(),
            now,
        );
        plan.twins_of = if self.no_twins {
            None
        } else {
            self.twins_of.or(twins_of)
        };
        plan.authority_algorithm = self.ca_algorithm;
        plan.authorities = Validity::days(plan.authorities.not_before, self.ca_days);
        plan.leaves = Validity::days(plan.leaves.not_before, self.party.days);
        plan.lists = Validity::days(plan.lists.not_before, self.crl_days);
        let made = pki::make(&plan, &self.dir, self.replace.overwrite())?;

        let mut lines = vec![format!(
            "made {} files in {}",
            made.files.len(),
            self.dir.display()
        )];
        for party in &made.built.parties {
            lines.push(format!(
                "  parties/{:<10} {} (tls, encryption, signature: .pem, .key.pem, .p12)",
                party.id, party.organisation
            ));
        }
        lines.push(
            "  anchors/           tls.pem, partner.pem, mosip.pem: what a configuration trusts"
                .to_owned(),
        );
        lines.push(
            "  crl/               root, tls, partner, mosip: renew with `triseal pki crl`"
                .to_owned(),
        );
        lines.push(
            "  ca/                certificates and keys of the CAs: keep them to yourself"
                .to_owned(),
        );
        if let Some(of) = &plan.twins_of {
            let kinds: Vec<_> = made
                .built
                .twins
                .iter()
                .map(|twin| twin.kind.as_str())
                .collect();
            lines.push(format!(
                "  twins/             wrong twins of {of}: {}",
                kinds.join(", ")
            ));
        }
        Ok(Written {
            files: made.files,
            lines,
        })
    }
}

impl Add {
    pub(super) fn run(self, clock: &Clock) -> Done {
        let days = self.options.days;
        let party = self.options.apply(self.party);
        let validity = Validity::days(Plan::of(Vec::new(), clock.now()).leaves.not_before, days);
        pki::add_party(&self.dir, &party, validity, self.replace.overwrite()).map(Written::files)
    }
}
