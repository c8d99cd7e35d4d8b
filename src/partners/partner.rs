//! One partner or service, checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    ApiKey, HashedSecret, LicenceKey, Network, OidcClient, PartnerId, Registered, Registration,
    Subscribing,
};
use crate::{
    clock::Moment,
    config::{Client, PacketRules, PartnerKind},
    refusal::{Code, Refusal},
    shared::Quota,
    trust::PartyCertificates,
};

/// A partner, a MISP or a service of ours. Made only by [`super::Directory::load`].
pub struct Partner {
    pub(super) id: PartnerId,
    pub(super) organisation: String,
    pub(super) kind: PartnerKind,
    pub(super) registration: Registration,
    pub(super) certificates: PartyCertificates,
    pub(super) routes: BTreeSet<String>,
    pub(super) api_keys: Vec<ApiKey>,
    pub(super) licence_keys: Vec<LicenceKey>,
    pub(super) clients: Vec<Client>,
    pub(super) access: Access,
    pub(super) shared_keys: bool,
    pub(super) subscribing: Option<Subscribing>,
    pub(super) packet: Option<PacketRules>,
    pub(super) oidc_clients: Vec<OidcClient>,
    pub(super) quotas: BTreeMap<String, Quota>,
    pub(super) under_way: AtomicUsize,
}

/// An exchange of a partner that is under way; given back when dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Partner>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a service is known on a service face. Empty for partners.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub(super) networks: Vec<Network>,
    pub(super) tokens: Vec<HashedSecret>,
    pub(super) certificate: bool,
}

impl Access {
    /// Networks from which it is known without more.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// How many bearer tokens it has.
    pub const fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Whether one of its TLS certificates lets it in.
    pub const fn certificate(&self) -> bool {
        self.certificate
    }
}

impl Partner {
    /// The partner id.
    pub const fn id(&self) -> &PartnerId {
        &self.id
    }

    /// The organisation its certificates name.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// What it is to MOSIP.
    pub const fn kind(&self) -> PartnerKind {
        self.kind
    }

    /// Its state and dates.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Its certificates in all roles.
    pub const fn certificates(&self) -> &PartyCertificates {
        &self.certificates
    }

    /// The names of the routes it may use.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(String::as_str)
    }

    /// Its API keys, in the order of its file.
    pub fn api_keys(&self) -> &[ApiKey] {
        &self.api_keys
    }

    /// Its licence keys, in the order of its file.
    pub fn licence_keys(&self) -> &[LicenceKey] {
        &self.licence_keys
    }

    /// The published clients whose odd encodings its messages may have.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// How it is known on a service face.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// What it may subscribe to.
    pub const fn subscribing(&self) -> Option<&Subscribing> {
        self.subscribing.as_ref()
    }

    /// Whether one of its keys may stand in several roles (`insecure_shared_keys`).
    pub const fn shared_keys(&self) -> bool {
        self.shared_keys
    }

    /// What narrows the packets it may make.
    pub const fn packet(&self) -> Option<&PacketRules> {
        self.packet.as_ref()
    }

    /// The clients of E-Signet that it stands for.
    pub fn oidc_clients(&self) -> &[OidcClient] {
        &self.oidc_clients
    }

    /// How much of a route it may use, where its file says so.
    pub fn quota(&self, route: &str) -> Option<&Quota> {
        self.quotas.get(route)
    }

    /// Whether the partner may come now.
    ///
    /// # Errors
    /// `ID-008` deleted (as if it had never been there: MOSIP gives both the same answer), `ID-004` inactive, `ID-005` not
    /// commenced or expired.
    pub fn standing(&self, now: Moment) -> Result<(), Refusal> {
        let registered = self.registration.at(now);
        let code = match registered {
            Registered::Active => return Ok(()),
            Registered::Deleted => Code::PartnerUnknown,
            Registered::Inactive => Code::PartnerInactive,
            Registered::NotCommenced | Registered::Expired => Code::PartnerNotValid,
        };
        let cause = format!("{} is {}", self.id, registered.as_str());
        Err(Refusal::new(code, cause))
    }

    /// A place for one exchange among at most `max` of this partner, so that no partner can take all the gateway has.
    ///
    /// # Errors
    /// `GW-001` when all of its places are taken.
    pub fn begin(self: &Arc<Self>, max: usize) -> Result<UnderWay, Refusal> {
        let place = UnderWay(Arc::clone(self));
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= max {
            let cause = format!("{} has {max} exchanges under way", self.id);
            return Err(Refusal::new(Code::Overloaded, cause));
        }
        Ok(place)
    }

    /// Whether the partner may use a route.
    ///
    /// # Errors
    /// `RT-003` when its file does not list the route.
    pub fn may_use(&self, route: &str) -> Result<(), Refusal> {
        if self.routes.contains(route) {
            return Ok(());
        }
        let cause = format!("{} does not list the route {route}", self.id);
        Err(Refusal::new(Code::RouteForbidden, cause))
    }
}

impl fmt::Debug for Partner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partner({})", self.id)
    }
}
