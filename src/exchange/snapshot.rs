//! Everything a request may ask, checked as a whole and then never changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ServerConfig;

use super::{
    Limits, Own,
    canonical::HostRules,
    esignet::Esignet,
    evidence,
    logins::Login,
    needs_jose,
    registrations::Registrations,
    sharing,
    standing::Standings,
    subscriptions::{Subscriptions, Taker},
};
use crate::{
    clock::{Clock, Moment},
    config::{self, Config, Document, FaceKind, Mistakes, PolicyKind, Report, Role},
    envelope::{Forms, Window, mosip_ida::Recipient},
    keys::{self, Secret},
    partners::{Beside, Directory, Known, LeftOut, Partner},
    policy::{Policies, RouteTable, Rules, SeederPolicy, rules},
    refusal::{Code, Refusal},
    shared,
    store::Location,
    tls,
    trust::{self, Anchors, Binding, PartyCertificates, Unusable},
    upstream::{TlsSettings, Upstream},
};

/// One generation of the configuration.
#[derive(Debug)]
pub struct Snapshot {
    generation: u64,
    config: Config,
    base: PathBuf,
    limits: Arc<Limits>,
    anchors: Arc<Anchors>,
    standings: Arc<Standings>,
    own: Own,
    peers: BTreeMap<String, PartyCertificates>,
    directory: Directory,
    /// What holds beside the files, as it stands in directory and policies.
    beside: Beside,
    policies: Policies,
    rules: Option<Rules>,
    routes: RouteTable,
    upstreams: BTreeMap<String, Arc<Upstream>>,
    logins: BTreeMap<String, Login>,
    esignet: Option<Esignet>,
    faces: BTreeMap<String, FaceState>,
    substitutes: BTreeMap<String, Substitutes>,
    window: Window,
    store: Option<Location>,
    shared: shared::Settings,
    seeder: Option<SeederPolicy>,
    subscriptions: Option<Subscriptions>,
    registrations: Option<Registrations>,
    watched: BTreeSet<PathBuf>,
    next_change: Option<Moment>,
    /// What of it stands in evidence.
    seen: evidence::Seen,
    /// What upstreams were built from, so that a reload that does not touch them keeps their connections.
    upstream_seed: String,
}

/// A face's part of a snapshot.
#[derive(Debug)]
pub struct FaceState {
    tls: Option<Arc<ServerConfig>>,
    hosts: HostRules,
}

impl FaceState {
    /// The TLS settings, where the face has TLS.
    pub const fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.tls.as_ref()
    }

    /// The names by which the face may be addressed.
    pub const fn host_rules(&self) -> &HostRules {
        &self.hosts
    }
}

/// Keys put in place of what a service sent, so that no service holds them.
#[derive(Debug, Default)]
struct Substitutes {
    misp_lk: Option<Secret>,
    api_key: Option<Secret>,
}

impl Snapshot {
    /// Reads and checks everything. The snapshot is there only when nothing is wrong; warnings come beside it.
    pub fn build(file: &Path, clock: &Clock, previous: Option<&Self>) -> (Option<Self>, Mistakes) {
        let beside = previous.map(|p| p.beside.clone()).unwrap_or_default();
        Self::build_with(file, clock, previous, &beside)
    }

    /// The same, with what holds beside the files. Files that are right by themselves stay so: changes that do harm all the same
    /// are left out, those that only take away excepted.
    pub fn build_with(
        file: &Path,
        clock: &Clock,
        previous: Option<&Self>,
        beside: &Beside,
    ) -> (Option<Self>, Mistakes) {
        let (snapshot, mistakes) = Self::attempt(file, clock, previous, beside);
        if snapshot.is_some() || beside.changes.is_empty() {
            return (snapshot, mistakes);
        }
        let narrowing = Beside {
            changes: beside.changes.narrowing(),
            ..beside.clone()
        };
        let (without, mut found) = Self::attempt(file, clock, previous, &narrowing);
        if without.is_none() {
            return (None, mistakes);
        }
        found.0.push(config::Mistake {
            severity: config::Severity::Warning,
            file: file.to_path_buf(),
            line: 0,
            at: "registry".to_owned(),
            what: format!(
                "changes of the registry contradict the configuration; only those that take something away are in force: {}",
                mistakes.0.iter().find(|m| m.severity == config::Severity::Error).map_or("", |m| &m.what)
            ),
            remedy: "Look at them with `triseal partners changes`.".to_owned(),
        });
        (without, found)
    }

    fn attempt(
        file: &Path,
        clock: &Clock,
        previous: Option<&Self>,
        beside: &Beside,
    ) -> (Option<Self>, Mistakes) {
        let mut mistakes = Mistakes::default();
        let (snapshot, watched) =
            config::watching(|| Self::read(file, clock, previous, beside, &mut mistakes));
        let snapshot = snapshot.filter(|_| !mistakes.refuse()).map(|mut s| {
            if s.config.evidence.is_some() {
                s.seen = evidence::Seen::of(file, s.generation, watched.iter(), &s.beside);
            }
            s.watched = watched;
            s
        });
        (snapshot, mistakes)
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a list: the parts of the configuration, in the order in which they need each other"
    )]
    fn read(
        file: &Path,
        clock: &Clock,
        previous: Option<&Self>,
        beside: &Beside,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let now = clock.now();
        let document = match Document::read(file) {
            Ok(document) => document,
            Err(config::ReadError(mistake)) => {
                mistakes.0.push(mistake);
                return None;
            }
        };
        let config: Config = document.parse(&config::config_schema(), mistakes)?;
        let mut report = Report::new(&document, mistakes);
        Limits::check(&config.limits, &mut report);
        let anchors = Arc::new(Anchors::build(&config.anchor, &mut report, now));
        let standings = Arc::new(Standings::default());
        let own = Own::build(&config.party, &anchors, &standings, &mut report, now);
        let peers = peers(&config, &anchors, &mut report, now);
        let policies =
            Policies::build_changed(&config.policy, &beside.changes, &mut report.within(""), now);
        let upstream_names: Vec<&str> = config.upstream.iter().map(|u| u.name.as_str()).collect();
        let routes = RouteTable::build(&config.route, &upstream_names, &mut report);
        let substitutes = substitutes(&config, &mut report);
        let seeder = SeederPolicy::build(
            config.token_seeder.as_ref(),
            config.store.is_some(),
            &upstream_names,
            &mut report.within("token_seeder"),
        );
        let base = file.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        let store = (config.store.as_ref())
            .and_then(|raw| Location::read(raw, &base, &mut report.within("store")));
        let shared = sharing::build(&config, &anchors, &own, &mut report, now);
        evidence::check(&config, &mut report);
        super::replacements::check(&config, &mut report);
        let subscriptions = Subscriptions::build(&config, &routes, &mut report);
        let registrations = Registrations::build(&config, &mut report);
        let seed = upstream_seed(&config, &anchors, &own, now);
        let upstreams = upstreams(
            &config,
            &anchors,
            &own,
            &peers,
            clock,
            previous.filter(|p| p.upstream_seed == seed),
            &mut report,
        );
        let logins = logins(&config, &upstreams, clock, previous, &mut report);
        let faces = faces(&config, &anchors, &own, &mut report, now);
        needs(
            &config,
            &own,
            &peers,
            &standings,
            &anchors,
            &mut report,
            now,
        );
        let kind_of = |id: &str| policies.kind_of(id);
        let registry = (beside, &kind_of as KindOf<'_>);
        let directory = directory(&config, &document, &anchors, registry, now, mistakes);
        let world = rules::World {
            gateway: &config.gateway.name,
            routes: &routes,
            upstreams: &config.upstream,
            directory: &directory,
            now,
        };
        let rules = config.rules.as_ref().and_then(|raw| {
            let mut report = Report::new(&document, mistakes);
            Rules::build(raw, &world, &mut report.within("rules"))
        });
        policies.check_kinds(
            &directory,
            config.websub.as_ref(),
            &mut Report::new(&document, mistakes),
        );
        let esignet = Esignet::build(
            &config,
            &directory,
            previous.and_then(|p| p.esignet.as_ref()),
            &mut Report::new(&document, mistakes),
        );
        shared_keys(&document, &own, &peers, &directory, mistakes);
        let parties = needs_jose::Parties {
            own: &own,
            peers: &peers,
            directory: &directory,
            standings: &standings,
            anchors: &anchors,
        };
        needs_jose::check(
            &config,
            &parties,
            &mut Report::new(&document, mistakes),
            now,
        );
        subscribers(
            &directory,
            &upstreams,
            subscriptions.as_ref(),
            &mut Report::new(&document, mistakes),
        );
        let next_change = std::iter::once(own.certificates())
            .chain(peers.values())
            .filter_map(|p| p.next_change(&anchors, now))
            .chain(directory.next_change(&anchors, now))
            .min();
        Some(Self {
            generation: previous.map_or(1, |p| p.generation.saturating_add(1)),
            limits: Arc::new(Limits::new(&config)),
            window: Window {
                back_ms: config.limits.freshness_back_ms,
                forward_ms: config.limits.freshness_forward_ms,
            },
            config,
            base,
            anchors,
            standings,
            own,
            peers,
            directory,
            beside: beside.clone(),
            policies,
            rules,
            routes,
            upstreams,
            logins,
            esignet,
            faces,
            substitutes,
            store,
            shared,
            seeder,
            subscriptions,
            registrations,
            watched: BTreeSet::new(),
            next_change,
            seen: evidence::Seen::default(),
            upstream_seed: seed,
        })
    }

    /// Which generation this is; grows with each reload.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The configuration as written.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Where the evidence log of this configuration is, or would be.
    pub fn evidence_folder(&self) -> PathBuf {
        let own = (self.config.evidence.as_ref()).and_then(|e| e.folder.as_ref());
        own.map_or_else(
            || self.state_folder().join("evidence"),
            |folder| self.base.join(folder),
        )
    }

    /// What of it stands in evidence.
    pub(super) const fn seen(&self) -> &evidence::Seen {
        &self.seen
    }

    /// The folder that paths in the configuration start from.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The folder for state.
    pub fn state_folder(&self) -> PathBuf {
        self.base.join(&self.config.gateway.state)
    }

    /// Where the durable store is, and what opens it.
    pub const fn store(&self) -> Option<&Location> {
        self.store.as_ref()
    }

    /// The shared state as configured.
    pub const fn shared(&self) -> &shared::Settings {
        &self.shared
    }

    /// Lets logins fetch their tokens once for all gateways.
    pub(super) fn share_tokens(&self, tokens: Option<&Arc<shared::Tokens>>) {
        if let Some(tokens) = tokens {
            self.logins().for_each(|login| login.share(tokens));
        }
    }

    /// WebSub, where it is configured.
    pub const fn subscriptions(&self) -> Option<&Subscriptions> {
        self.subscriptions.as_ref()
    }

    /// OpenCRVS, where it is configured.
    pub const fn registrations(&self) -> Option<&Registrations> {
        self.registrations.as_ref()
    }

    /// The access log's file, when it is not standard output.
    pub fn access_file(&self) -> Option<PathBuf> {
        self.config.log.access.as_deref().map(|p| self.base.join(p))
    }

    /// Every file that was read, and every folder that was listed.
    pub const fn watched(&self) -> &BTreeSet<PathBuf> {
        &self.watched
    }

    /// The next moment at which a certificate or list changes its standing.
    pub const fn next_change(&self) -> Option<Moment> {
        self.next_change
    }

    /// The bounds.
    pub const fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The anchors.
    pub const fn anchors(&self) -> &Arc<Anchors> {
        &self.anchors
    }

    /// Us.
    pub const fn own(&self) -> &Own {
        &self.own
    }

    /// The partners.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What holds beside the files.
    pub const fn beside(&self) -> &Beside {
        &self.beside
    }

    /// Whether MOSIP's events change the registry.
    pub fn takes_events(&self) -> bool {
        let takes = |all: &Subscriptions| all.iter().any(|one| *one.taker() == Taker::Registry);
        self.subscriptions.as_ref().is_some_and(takes)
    }

    /// Changes of the registry that are not in force, and why.
    pub fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        (self.directory.left_out().iter()).chain(self.policies.left_out())
    }

    /// The policies.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The operator's rules, where there are any.
    pub const fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref()
    }

    /// What rules talk about: to read other rules against the same.
    pub fn world(&self, now: Moment) -> rules::World<'_> {
        rules::World {
            gateway: &self.config.gateway.name,
            routes: &self.routes,
            upstreams: &self.config.upstream,
            directory: &self.directory,
            now,
        }
    }

    /// The routes.
    pub const fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// What may be asked of the token seeder.
    pub const fn seeder(&self) -> Option<&SeederPolicy> {
        self.seeder.as_ref()
    }

    /// The freshness window.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// A face by name.
    pub fn face(&self, name: &str) -> Option<&FaceState> {
        self.faces.get(name)
    }

    /// The upstream of a route.
    ///
    /// # Errors
    /// `GW-002` when the route has none; the checks of the configuration leave that to no handler that needs one.
    pub fn upstream_of(&self, route: &crate::policy::Route) -> Result<&Arc<Upstream>, Refusal> {
        (route.upstream())
            .and_then(|name| self.upstream(name))
            .ok_or_else(|| Refusal::new(Code::Fault, "the route leads to no upstream"))
    }

    /// An upstream by name.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.get(name)
    }

    /// Every upstream.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }

    /// The login whose token goes with requests to an upstream.
    pub fn login_of(&self, upstream: &Upstream) -> Option<&Login> {
        self.logins.get(upstream.spec().login.as_deref()?)
    }

    /// E-Signet, where it is configured.
    pub const fn esignet(&self) -> Option<&Esignet> {
        self.esignet.as_ref()
    }

    /// Every login.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.logins.values()
    }

    /// The party behind an upstream.
    pub fn peer_of(&self, upstream: &str) -> Option<&PartyCertificates> {
        let party = self.upstreams.get(upstream)?.spec().party.as_deref()?;
        self.peers.get(party)
    }

    /// Every peer.
    pub fn peers(&self) -> impl Iterator<Item = &PartyCertificates> {
        self.peers.values()
    }

    /// The encodings that a partner's contract lists.
    pub fn forms(&self, partner: &Partner) -> Forms {
        Forms::of(partner.clients())
    }

    /// Whether a binding may be used now.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, binding: &Binding, now: Moment) -> Result<(), Unusable> {
        self.standings.judge(binding, &self.anchors, now)
    }

    /// The newest usable encryption certificate of a party that MOSIP's formats can be wrapped to: RSA.
    pub fn recipient<'p>(
        &self,
        party: &'p PartyCertificates,
        now: Moment,
    ) -> Option<Recipient<'p>> {
        let binding =
            self.standings
                .newest_that(party, Role::Encryption, &self.anchors, now, |b| {
                    b.wrapping_key().is_some()
                })?;
        Some(Recipient {
            fingerprint: binding.fingerprint(),
            wrapping: binding.wrapping_key()?,
        })
    }

    /// The newest usable encryption certificate of a party, of whatever kind: for the envelope `jose`.
    ///
    /// # Errors
    /// `ENC-004` when it has none.
    pub fn sealed_to<'p>(
        &self,
        party: &'p PartyCertificates,
        now: Moment,
    ) -> Result<(trust::Fingerprint, &'p keys::ContentWrapKey), Refusal> {
        self.standings
            .newest_that(party, Role::Encryption, &self.anchors, now, |b| {
                b.content_key().is_some()
            })
            .and_then(|binding| Some((binding.fingerprint(), binding.content_key()?)))
            .ok_or_else(|| {
                let cause = format!("`{}` has no usable encryption certificate", party.id());
                Refusal::new(Code::NoRecipient, cause)
            })
    }

    /// Path and query towards the upstream.
    pub(super) fn target(
        &self,
        found: &crate::policy::Match<'_>,
        query: Option<&str>,
    ) -> Result<String, Refusal> {
        let substitutes = self.substitutes.get(found.route().name());
        let text = |secret: Option<&Secret>| -> Result<Option<String>, Refusal> {
            secret
                .map(|s| {
                    s.expose_text()
                        .map(str::to_owned)
                        .ok_or_else(|| Refusal::new(Code::Fault, "a substituted key is not text"))
                })
                .transpose()
        };
        let misp_lk = text(substitutes.and_then(|s| s.misp_lk.as_ref()))?;
        let api_key = text(substitutes.and_then(|s| s.api_key.as_ref()))?;
        let mut target = found.upstream_path(misp_lk.as_deref(), api_key.as_deref())?;
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        Ok(target)
    }

    /// Settings that a running process cannot change; a reload that touches them says so.
    pub(super) fn warn_of_fixed_settings(&self, next: &Self, file: &Path, mistakes: &mut Mistakes) {
        let faces = |c: &Config| -> Vec<_> {
            c.face
                .iter()
                .map(|f| (f.name.clone(), f.listen, f.kind))
                .collect()
        };
        let (old, new) = (&self.config, &next.config);
        let changed = [
            ("face", faces(old) != faces(new)),
            ("admin", old.admin.listen != new.admin.listen),
            (
                "gateway.workers",
                old.gateway.workers != new.gateway.workers,
            ),
            ("gateway.state", old.gateway.state != new.gateway.state),
            (
                "limits.replay_max",
                old.limits.replay_max != new.limits.replay_max,
            ),
            ("store", self.store != next.store),
            (
                "shared",
                format!("{:?}", old.shared) != format!("{:?}", new.shared),
            ),
            ("evidence", evidence_settings(old) != evidence_settings(new)),
            ("log", old.log.access != new.log.access),
        ];
        for (at, _) in changed.iter().filter(|(_, changed)| *changed) {
            mistakes.0.push(config::Mistake {
                severity: config::Severity::Warning,
                file: file.to_path_buf(),
                line: 0,
                at: (*at).to_owned(),
                what: "changed, but is fixed while the process runs".to_owned(),
                remedy: "Restart the gateway.".to_owned(),
            });
        }
    }
}

/// What of evidence is fixed while the process runs: all but the level and which bodies are kept.
fn evidence_settings(config: &Config) -> Option<(Option<&PathBuf>, usize, u64, u64)> {
    let e = config.evidence.as_ref()?;
    Some((
        e.folder.as_ref(),
        e.queue_max,
        e.commit_timeout_ms,
        e.reserve_mib,
    ))
}

fn peers(
    config: &Config,
    anchors: &Arc<Anchors>,
    report: &mut Report<'_>,
    now: Moment,
) -> BTreeMap<String, PartyCertificates> {
    let mut peers = BTreeMap::new();
    for (i, raw) in config.peer.iter().enumerate() {
        let mut here = report.within(format!("peer[{i}]"));
        if peers.contains_key(&raw.id) {
            here.error(
                "id",
                format!("`{}` stands twice", raw.id),
                "Give each peer its own id.",
            );
        }
        peers.insert(
            raw.id.clone(),
            PartyCertificates::build(raw.into(), anchors, &mut here, now),
        );
    }
    peers
}

fn substitutes(config: &Config, report: &mut Report<'_>) -> BTreeMap<String, Substitutes> {
    let mut all = BTreeMap::new();
    for (i, route) in config.route.iter().enumerate() {
        let mut here = report.within(format!("route[{i}]"));
        let mut here = here.within("to");
        let mut read = |field: &str, raw: Option<&config::SecretRef>| {
            let secret = keys::read_secret(raw?, &mut here.within(field))?;
            let fits = secret.expose_text().is_some_and(|t| {
                !t.is_empty()
                    && t.chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
            });
            if !fits {
                here.error(
                    field,
                    "the key does not fit into a path",
                    "Use letters, digits, `_`, `.` and `-` only.",
                );
            }
            fits.then_some(secret)
        };
        let found = Substitutes {
            misp_lk: read(
                "misp_lk",
                route.to.as_ref().and_then(|to| to.misp_lk.as_ref()),
            ),
            api_key: read(
                "api_key",
                route.to.as_ref().and_then(|to| to.api_key.as_ref()),
            ),
        };
        all.insert(route.name.clone(), found);
    }
    all
}

/// The partners, with the pepper that their hashes were made with.
/// Which kind a policy is of.
type KindOf<'a> = &'a dyn Fn(&str) -> Option<PolicyKind>;

fn directory(
    config: &Config,
    document: &Document,
    anchors: &Anchors,
    (beside, kind_of): (&Beside, KindOf<'_>),
    now: Moment,
    mistakes: &mut Mistakes,
) -> Directory {
    let mut report = Report::new(document, mistakes);
    let pepper = config
        .gateway
        .pepper
        .as_ref()
        .and_then(|raw| keys::read_secret(raw, &mut report.within("gateway").within("pepper")));
    let folder = config
        .gateway
        .partners
        .as_deref()
        .map(|p| report.resolve(p));
    match &folder {
        None => Directory::empty(),
        Some(folder) => {
            let route_names: Vec<&str> = config.route.iter().map(|r| r.name.as_str()).collect();
            let policy_names: Vec<&str> = config.policy.iter().map(|p| p.id.as_str()).collect();
            let known = Known {
                routes: &route_names,
                policies: &policy_names,
                kind_of,
                beside,
            };
            Directory::load(folder, pepper.as_ref(), anchors, known, now, mistakes)
        }
    }
}

/// Partners that may subscribe lead to an upstream of ours, and to topics that we are subscribed to for them.
fn subscribers(
    directory: &Directory,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    subscriptions: Option<&Subscriptions>,
    report: &mut Report<'_>,
) {
    let known: Vec<&str> = upstreams.keys().map(String::as_str).collect();
    for partner in directory.iter() {
        let Some(subscribing) = partner.subscribing() else {
            continue;
        };
        if !upstreams.contains_key(subscribing.upstream()) {
            report.error(
                "upstream",
                format!(
                    "partner {} takes deliveries at `{}`, which is no upstream",
                    partner.id(),
                    subscribing.upstream()
                ),
                config::spelling::remedy(subscribing.upstream(), &known),
            );
        }
        let party =
            (upstreams.get(subscribing.upstream())).is_none_or(|u| u.spec().party.is_some());
        if subscribing.envelope() == config::Envelope::Jose && !party {
            report.error(
                "upstream",
                format!(
                    "deliveries to partner {} are sealed, and its upstream `{}` names no party",
                    partner.id(),
                    subscribing.upstream()
                ),
                "Set `party` on the upstream, and describe the partner's gateway as a [[peer]].",
            );
        }
        for topic in subscribing.topics() {
            let ours = subscriptions.and_then(|all| all.to(topic));
            if ours.is_none_or(|one| *one.taker() != Taker::Partners) {
                report.error(
                    "websub",
                    format!(
                        "partner {} may subscribe to `{topic}`, to which we are not subscribed for partners",
                        partner.id()
                    ),
                    "Add a [[websub.subscription]] to the topic with hand_on.partners = true.",
                );
            }
        }
    }
}

/// What upstreams depend on besides their own section: when it is the same, they keep their connections over a reload.
fn upstream_seed(config: &Config, anchors: &Anchors, own: &Own, now: Moment) -> String {
    let key = own
        .tls_key(now)
        .and_then(|k| {
            k.cert
                .first()
                .map(|c| trust::Fingerprint::of(c).to_string())
        })
        .unwrap_or_default();
    let mut seed = format!("{:?} {key}", config.upstream);
    for anchor in anchors.iter() {
        seed.push_str(anchor.name());
        for certificate in anchor.certificates() {
            seed.push_str(&certificate.fingerprint().to_string());
        }
        for list in anchor.lists() {
            seed.push_str(&format!("{:?}", list));
        }
    }
    seed
}

fn upstreams(
    config: &Config,
    anchors: &Arc<Anchors>,
    own: &Own,
    peers: &BTreeMap<String, PartyCertificates>,
    clock: &Clock,
    unchanged: Option<&Snapshot>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Arc<Upstream>> {
    if let Some(previous) = unchanged {
        return previous.upstreams.clone();
    }
    let mut all = BTreeMap::new();
    for (i, raw) in config.upstream.iter().enumerate() {
        let mut here = report.within(format!("upstream[{i}]"));
        if all.contains_key(&raw.name) {
            here.error(
                "name",
                format!("`{}` stands twice", raw.name),
                "Give each upstream its own name.",
            );
        }
        if let Some(party) = &raw.party
            && !peers.contains_key(party)
        {
            let known: Vec<&str> = peers.keys().map(String::as_str).collect();
            here.error(
                "party",
                format!("there is no peer `{party}`"),
                format!("Known peers: {}.", known.join(", ")),
            );
        }
        let https = raw.addresses.iter().any(|a| a.starts_with("https:"));
        let settings = if https {
            client_settings(raw, anchors, own, clock.now(), &mut here)
        } else {
            None
        };
        if let Some(upstream) = Upstream::build(raw, settings.as_ref(), clock, &mut here) {
            all.insert(raw.name.clone(), Arc::new(upstream));
        }
    }
    all
}

fn logins(
    config: &Config,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    clock: &Clock,
    previous: Option<&Snapshot>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Login> {
    let names: Vec<&str> = config.login.iter().map(|l| l.name.as_str()).collect();
    for (i, raw) in config.upstream.iter().enumerate() {
        if let Some(login) = &raw.login
            && !names.contains(&login.as_str())
        {
            report.within(format!("upstream[{i}]")).error(
                "login",
                format!("there is no login `{login}`"),
                config::spelling::remedy(login, &names),
            );
        }
    }
    let mut all = BTreeMap::new();
    for (i, raw) in config.login.iter().enumerate() {
        let mut here = report.within(format!("login[{i}]"));
        let sealed = |route: &config::Route| {
            let to = (route.to.as_ref()).filter(|to| to.envelope == config::Envelope::Jose);
            to.and_then(|to| config.upstream.iter().find(|u| u.name == to.upstream))
                .is_some_and(|u| u.login.as_deref() == Some(raw.name.as_str()))
        };
        if let Some(route) = config.route.iter().find(|route| sealed(route)) {
            let what = format!("route `{}` is sealed to another gateway", route.name);
            let remedy = "Only the gateway that stands before MOSIP logs in there: remove `login` from the upstream.";
            here.error("name", what, remedy);
        }
        if all.contains_key(&raw.name) {
            let what = format!("`{}` stands twice", raw.name);
            here.error("name", what, "Give each login its own name.");
        }
        let used = |u: &config::Upstream| u.login.as_deref() == Some(raw.name.as_str());
        if !config.upstream.iter().any(used) {
            let remedy = "Set `login` on the upstreams that need its token.";
            here.warning("name", "no upstream uses this login", remedy);
        }
        if raw.client_id.is_empty() {
            here.error("client_id", "is empty", "Give the client id.");
        }
        if !raw.path.starts_with('/') || !raw.path.bytes().all(|b| b.is_ascii_graphic()) {
            let remedy = "Write a path such as /v1/authmanager/authenticate/clientidsecretkey.";
            here.error("path", "this is no path", remedy);
        }
        let secret = keys::read_secret(&raw.secret, &mut here.within("secret"));
        let Some(upstream) = config.upstream.iter().find(|u| u.name == raw.upstream) else {
            let known: Vec<&str> = config.upstream.iter().map(|u| u.name.as_str()).collect();
            here.error(
                "upstream",
                format!("there is no upstream `{}`", raw.upstream),
                config::spelling::remedy(&raw.upstream, &known),
            );
            continue;
        };
        if upstream.login.is_some() {
            let remedy = "Remove `login` there: nobody has a token before the login.";
            here.error("upstream", "authmanager itself names a login", remedy);
        }
        let (Some(secret), Some(upstream)) = (secret, upstreams.get(&raw.upstream)) else {
            continue;
        };
        let previous = previous.and_then(|p| p.logins.get(&raw.name));
        let login = Login::new(raw, secret, upstream, clock, previous);
        all.insert(raw.name.clone(), login);
    }
    all
}

fn client_settings(
    raw: &config::Upstream,
    anchors: &Arc<Anchors>,
    own: &Own,
    now: Moment,
    report: &mut Report<'_>,
) -> Option<TlsSettings> {
    if !known_anchors(&raw.anchors, anchors, report) {
        return None;
    }
    if raw.anchors.is_empty() {
        report.error(
            "anchors",
            "an https upstream without anchors",
            "List the anchors its certificate chains to.",
        );
        return None;
    }
    let key = if raw.client_certificate.unwrap_or(true) {
        let key = own.tls_key(now);
        if key.is_none() {
            report.error(
                "client_certificate",
                "we have no usable TLS certificate to show",
                "Add one to [party], or set client_certificate = false.",
            );
        }
        key
    } else {
        None
    };
    let verifier = trust::server_verifier(&raw.anchors, anchors, &tls::provider());
    match verifier.and_then(|v| tls::client(v, key)) {
        Ok(config) => Some(TlsSettings::new(config)),
        Err(e) => {
            report.error(
                "anchors",
                format!("TLS cannot be set up: {e}"),
                "Check the anchors' files.",
            );
            None
        }
    }
}

pub(super) fn known_anchors(names: &[String], anchors: &Anchors, report: &mut Report<'_>) -> bool {
    let mut all = true;
    for (i, name) in names.iter().enumerate() {
        if anchors.get(name).is_none() {
            let known = anchors.names().join(", ");
            report.error(
                &format!("anchors[{i}]"),
                format!("there is no anchor `{name}`"),
                format!("Known anchors: {known}."),
            );
            all = false;
        }
    }
    all
}

fn faces(
    config: &Config,
    anchors: &Arc<Anchors>,
    own: &Own,
    report: &mut Report<'_>,
    now: Moment,
) -> BTreeMap<String, FaceState> {
    let mut all = BTreeMap::new();
    if config.face.is_empty() {
        report.error(
            "",
            "there is no [[face]]",
            "Add a face for partners or for services.",
        );
    }
    for (i, raw) in config.face.iter().enumerate() {
        let mut here = report.within(format!("face[{i}]"));
        if all.contains_key(&raw.name) {
            here.error(
                "name",
                format!("`{}` stands twice", raw.name),
                "Give each face its own name.",
            );
        }
        let tls = match (raw.kind, raw.tls) {
            (FaceKind::Service, false) => {
                plain_face(raw, &mut here);
                None
            }
            (FaceKind::Partner, _) | (FaceKind::Service, true) => {
                face_tls(raw, anchors, own, now, &mut here)
            }
        };
        let hosts = if raw.hosts.is_empty() {
            HostRules::any()
        } else {
            HostRules::names(&raw.hosts)
        };
        all.insert(raw.name.clone(), FaceState { tls, hosts });
    }
    all
}

fn plain_face(raw: &config::Face, report: &mut Report<'_>) {
    if !raw.listen.ip().is_loopback() {
        report.error(
            "tls",
            "a service face beyond loopback without TLS",
            "Set tls = true, or listen on 127.0.0.1.",
        );
    }
    if !raw.anchors.is_empty() {
        report.error(
            "anchors",
            "client certificates need TLS",
            "Set tls = true, or remove anchors.",
        );
    }
}

fn face_tls(
    raw: &config::Face,
    anchors: &Arc<Anchors>,
    own: &Own,
    now: Moment,
    report: &mut Report<'_>,
) -> Option<Arc<ServerConfig>> {
    if raw.hosts.is_empty() {
        report.error(
            "hosts",
            "a face with TLS needs its names",
            "List the names by which callers address it.",
        );
    }
    if !known_anchors(&raw.anchors, anchors, report) {
        return None;
    }
    if raw.kind == FaceKind::Partner && raw.anchors.is_empty() {
        report.error(
            "anchors",
            "a partner face without anchors",
            "List the anchors of the partners' TLS certificates.",
        );
        return None;
    }
    let Some(key) = own.tls_key(now) else {
        report.error(
            "",
            "we have no usable certificate in role tls",
            "Add one to [party].",
        );
        return None;
    };
    let provider = tls::provider();
    let built = if raw.anchors.is_empty() {
        tls::server(key, raw.hosts.clone(), None)
    } else {
        trust::client_verifier(&raw.anchors, anchors, &provider)
            .and_then(|verifier| tls::server(key, raw.hosts.clone(), Some(verifier)))
    };
    match built {
        Ok(config) => Some(Arc::new(config)),
        Err(e) => {
            report.error(
                "anchors",
                format!("TLS cannot be set up: {e}"),
                "Check the anchors' files.",
            );
            None
        }
    }
}

/// What the routes need of us and of the upstreams' parties, so that it is missed now and not at the first message.
fn needs(
    config: &Config,
    own: &Own,
    peers: &BTreeMap<String, PartyCertificates>,
    standings: &Standings,
    anchors: &Anchors,
    report: &mut Report<'_>,
    now: Moment,
) {
    use config::Envelope;
    // MOSIP's formats are wrapped with RSA and with nothing else.
    let has = |party: &PartyCertificates, role| {
        let fits = |b: &Binding| role != Role::Encryption || b.wrapping_key().is_some();
        (standings.newest_that(party, role, anchors, now, fits)).is_some()
    };
    for (i, route) in config.route.iter().enumerate() {
        let mut here = report.within(format!("route[{i}]"));
        let ida = route.from.envelope == Envelope::MosipIda;
        let to = route.to.as_ref().map(|to| to.envelope);
        let opens = ida && matches!(to, Some(Envelope::MosipIda | Envelope::Opened));
        if ida && own.signer(now).is_none() {
            here.error(
                "from",
                "answers must be signed, but we have no usable certificate in role signature",
                "Add one to [party].",
            );
        }
        if opens && own.decryption_keys(now).is_empty() {
            here.error(
                "from",
                "messages must be opened, but we have no usable certificate in role encryption",
                "Add one to [party].",
            );
        }
        let sealed = matches!(to, Some(Envelope::MosipIda | Envelope::AsReceived));
        let upstream = (route.to.as_ref())
            .and_then(|to| config.upstream.iter().find(|u| u.name == to.upstream));
        if let (true, Some(upstream)) = (sealed, upstream) {
            let party = upstream.party.as_ref().and_then(|p| peers.get(p));
            let Some(party) = party else {
                here.error(
                    "to.upstream",
                    "its answers must be verified, but it names no party",
                    "Set `party` on the upstream, and describe it as a [[peer]].",
                );
                continue;
            };
            for role in [Role::Encryption, Role::Signature] {
                if !has(party, role) {
                    here.error(
                        "to.upstream",
                        format!(
                            "the peer `{}` has no usable certificate in role {role:?}",
                            party.id()
                        ),
                        "Add one to the [[peer]].",
                    );
                }
            }
        }
    }
}

/// No key stands for two parties.
fn shared_keys(
    document: &Document,
    own: &Own,
    peers: &BTreeMap<String, PartyCertificates>,
    directory: &Directory,
    mistakes: &mut Mistakes,
) {
    let parties = std::iter::once(own.certificates())
        .chain(peers.values())
        .chain(directory.iter().map(|p| p.certificates()));
    let shared = trust::shared_between_parties(parties);
    let mut report = Report::new(document, mistakes);
    for (fingerprint, one, other) in shared {
        report.error(
            "",
            format!("the key of certificate {fingerprint} is bound to both `{one}` and `{other}`"),
            "Bind each key to one party only.",
        );
    }
}
