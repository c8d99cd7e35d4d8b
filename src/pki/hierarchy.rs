//! MOSIP's four CAs and the parties below them, in memory.
//!
//! One root; below it a CA for TLS, the partner management CA ("PMS") for partners' encryption and signature
//! certificates, and the IDA CA for MOSIP's own.

use std::{collections::HashMap, fmt, str::FromStr};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    Algorithm, Authority, Issued, Key, LeafRequest, MosipForm, Name, PartyKind, PartyPlan,
    PkiError, Plan, SerialSign, Validity,
};
use crate::config::Role;

/// The three roles, in the order files are written and shown.
pub const ROLES: [Role; 3] = [Role::Tls, Role::Encryption, Role::Signature];

/// One of the four CAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorityName {
    /// The root.
    Root,
    /// Issues TLS certificates.
    Tls,
    /// The partner management CA: re-signs partners' encryption and signature certificates.
    Partner,
    /// The IDA CA: MOSIP's own encryption and signature certificates.
    Mosip,
}

impl AuthorityName {
    /// All of them, the root first.
    pub const ALL: [Self; 4] = [Self::Root, Self::Tls, Self::Partner, Self::Mosip];

    /// The word in file names and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tls => "tls",
            Self::Partner => "partner",
            Self::Mosip => "mosip",
        }
    }

    const fn common_name(self) -> &'static str {
        match self {
            Self::Root => "MOSIP ROOT",
            Self::Tls => "MOSIP TLS",
            Self::Partner => "MOSIP PMS",
            Self::Mosip => "MOSIP IDA",
        }
    }
}

impl fmt::Display for AuthorityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthorityName {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| PkiError::Name {
                what: "CA",
                value: text.to_owned(),
                why: "it is one of root, tls, partner, mosip",
            })
    }
}

/// The four CAs with their keys.
#[derive(Debug)]
pub struct Hierarchy {
    /// The root.
    pub root: Authority,
    /// Issues TLS certificates.
    pub tls: Authority,
    /// The partner management CA.
    pub partner: Authority,
    /// The IDA CA.
    pub mosip: Authority,
}

/// A party with its three certificates.
#[derive(Debug)]
pub struct Party {
    /// Its id.
    pub id: String,
    /// Its organisation.
    pub organisation: String,
    /// The connection.
    pub tls: Issued,
    /// The content.
    pub encryption: Issued,
    /// The message.
    pub signature: Issued,
    /// The password of its key stores.
    pub password: Password,
}

/// A password made by the room: 144 random bits. Wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// A fresh one.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn random() -> Result<Self, PkiError> {
        let mut bytes = Zeroizing::new([0; 18]);
        SystemRandom::new()
            .fill(&mut *bytes)
            .map_err(|_| PkiError::Crypto("drawing a password"))?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Hierarchy {
    /// Makes the CAs of a plan.
    ///
    /// # Errors
    /// When a name or validity cannot be used, or making keys fails.
    pub fn make(plan: &Plan) -> Result<Self, PkiError> {
        Self::make_from(plan, &mut KeyPool::default())
    }

    pub(super) fn make_from(plan: &Plan, keys: &mut KeyPool) -> Result<Self, PkiError> {
        let name = |ca: AuthorityName| Name::new(ca.common_name(), &plan.organisation);
        let root = Authority::root_with(
            &name(AuthorityName::Root),
            keys.take(plan.authority_algorithm)?,
            plan.authorities,
        )?;
        let mut below = |ca: AuthorityName, path_length| {
            root.subordinate_with(
                &name(ca),
                keys.take(plan.authority_algorithm)?,
                plan.authorities,
                path_length,
            )
        };
        // MOSIP's module keys have path length 1: what they issue is CA:TRUE itself.
        let (tls, partner, mosip) = (
            below(AuthorityName::Tls, 0)?,
            below(AuthorityName::Partner, 1)?,
            below(AuthorityName::Mosip, 1)?,
        );
        Ok(Self {
            root,
            tls,
            partner,
            mosip,
        })
    }

    /// One of the CAs.
    pub const fn authority(&self, name: AuthorityName) -> &Authority {
        match name {
            AuthorityName::Root => &self.root,
            AuthorityName::Tls => &self.tls,
            AuthorityName::Partner => &self.partner,
            AuthorityName::Mosip => &self.mosip,
        }
    }

    /// Which CA issues for a party in a role.
    pub const fn issuer_for(kind: PartyKind, role: Role) -> AuthorityName {
        match (role, kind) {
            (Role::Tls, _) => AuthorityName::Tls,
            (Role::Encryption | Role::Signature, PartyKind::Partner) => AuthorityName::Partner,
            (Role::Encryption | Role::Signature, PartyKind::Mosip) => AuthorityName::Mosip,
        }
    }

    /// The root and one CA below it, as PEM: what a configuration takes as an anchor.
    pub fn anchor_pem(&self, name: AuthorityName) -> String {
        let root = self.root.certificate_pem();
        match name {
            AuthorityName::Root => root,
            AuthorityName::Tls | AuthorityName::Partner | AuthorityName::Mosip => {
                root + &self.authority(name).certificate_pem()
            }
        }
    }

    /// Makes a party's keys and three certificates.
    ///
    /// # Errors
    /// When its id, organisation or names cannot be used, or making keys fails.
    pub fn issue_party(&self, party: &PartyPlan, validity: Validity) -> Result<Party, PkiError> {
        self.issue_party_from(party, validity, &mut KeyPool::default())
    }

    pub(super) fn issue_party_from(
        &self,
        party: &PartyPlan,
        validity: Validity,
        keys: &mut KeyPool,
    ) -> Result<Party, PkiError> {
        party.check()?;
        let mut issue = |role| {
            let key = keys.take(party.algorithms.of(role))?;
            self.issue_role(party, role, role, validity, key)
        };
        Ok(Party {
            id: party.id.clone(),
            organisation: party.organisation.clone(),
            tls: issue(Role::Tls)?,
            encryption: issue(Role::Encryption)?,
            signature: issue(Role::Signature)?,
            password: Password::random()?,
        })
    }

    /// Issues in a role; with another `usage` than the role's own, what comes out is a wrong twin in tidy form.
    pub(super) fn issue_role(
        &self,
        party: &PartyPlan,
        role: Role,
        usage: Role,
        validity: Validity,
        key: Key,
    ) -> Result<Issued, PkiError> {
        let authority = self.authority(Self::issuer_for(party.kind, role));
        let certificate = authority.certify(
            &leaf_request(party, role, usage, validity, key.algorithm()),
            &key,
        )?;
        let certificate = match mosip_form(party, role) {
            // Half of MOSIP's serial numbers are negative. Here it is one of each pair, so that tests meet both.
            Some((form, sign)) if role == usage => {
                authority.resign_like_mosip(&certificate, form, validity, sign)?
            }
            _ => certificate,
        };
        authority.hand_out(certificate, key)
    }
}

impl Party {
    /// Its certificate and key in a role.
    pub const fn issued(&self, role: Role) -> &Issued {
        match role {
            Role::Tls => &self.tls,
            Role::Encryption => &self.encryption,
            Role::Signature => &self.signature,
        }
    }
}

/// The plain request behind a party's certificate in a role.
pub(super) fn leaf_request(
    party: &PartyPlan,
    role: Role,
    usage: Role,
    validity: Validity,
    algorithm: Algorithm,
) -> LeafRequest {
    let common_name = match role {
        Role::Tls => party.id.clone(),
        Role::Encryption | Role::Signature => format!("{}-{}", party.id, role.as_str()),
    };
    LeafRequest {
        name: Name::new(common_name, &party.organisation),
        role: usage,
        algorithm,
        validity,
        alternative_names: if role == Role::Tls {
            tls_names(party)
        } else {
            Vec::new()
        },
    }
}

fn mosip_form(party: &PartyPlan, role: Role) -> Option<(MosipForm, SerialSign)> {
    match (party.resign, party.kind, role) {
        (false, ..) | (_, _, Role::Tls) => None,
        (true, PartyKind::Partner, Role::Encryption) => {
            Some((MosipForm::AuthPartner, SerialSign::Positive))
        }
        (true, PartyKind::Partner, Role::Signature) => {
            Some((MosipForm::AuthPartner, SerialSign::Negative))
        }
        (true, PartyKind::Mosip, Role::Encryption) => {
            Some((MosipForm::OwnEncryption, SerialSign::Negative))
        }
        (true, PartyKind::Mosip, Role::Signature) => {
            Some((MosipForm::OwnSignature, SerialSign::Positive))
        }
    }
}

/// This machine's own names, the id where it can be a host name, and what the plan adds; each once.
fn tls_names(party: &PartyPlan) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if super::authority::alternative_name(&party.id).is_ok() {
        names.push(party.id.clone());
    }
    names.extend(party.alternative_names.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Keys made ahead on all cores; what is missing is made when asked for.
#[derive(Default)]
pub(super) struct KeyPool(HashMap<Algorithm, Vec<Key>>);

impl KeyPool {
    pub(super) fn filled(wanted: &[Algorithm]) -> Result<Self, PkiError> {
        let mut pool: HashMap<Algorithm, Vec<Key>> = HashMap::new();
        for key in Key::generate_all(wanted)? {
            pool.entry(key.algorithm()).or_default().push(key);
        }
        Ok(Self(pool))
    }

    pub(super) fn take(&mut self, algorithm: Algorithm) -> Result<Key, PkiError> {
        match self.0.get_mut(&algorithm).and_then(Vec::pop) {
            Some(key) => Ok(key),
            None => Key::generate(algorithm),
        }
    }
}
