//! What rules talk about, made once for each snapshot: partners, upstreams and the gateway as Cedar's entities.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value, Schema,
};

use crate::{
    clock::Moment,
    config::{self, PartnerKind, Role, State},
    partners::{Directory, Partner},
    policy::RouteTable,
    trust::Binding,
};

/// The parts of a configuration that rules talk about.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// Its routes.
    pub routes: &'a RouteTable,
    /// Its upstreams, as written.
    pub upstreams: &'a [config::Upstream],
    /// Its partners.
    pub directory: &'a Directory,
    /// The moment at which certificates are looked at.
    pub now: Moment,
}

/// The name of a thing of a type of ours.
pub(super) fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(|e| format!("{e}"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// Every partner, by id.
pub(super) fn partners(world: &World<'_>) -> Result<HashMap<String, EntityUid>, String> {
    (world.directory.iter())
        .map(|p| Ok((p.id().as_str().to_owned(), uid("Partner", p.id().as_str())?)))
        .collect()
}

/// All things, checked against the schema, with the actions and what they belong to.
pub(super) fn entities(world: &World<'_>, schema: &Schema) -> Result<Entities, String> {
    let mut all = vec![Entity::new_no_attrs(
        uid("Gateway", world.gateway)?,
        HashSet::new(),
    )];
    for upstream in world.upstreams {
        let party = upstream.party.iter();
        let attributes = party.map(|p| ("party".to_owned(), text(p))).collect();
        let uid = uid("Upstream", &upstream.name)?;
        all.push(Entity::new(uid, attributes, HashSet::new()).map_err(|e| e.to_string())?);
    }
    for one in world.directory.iter() {
        all.push(partner(one, world.now)?);
    }
    Entities::from_entities(all, Some(schema)).map_err(|e| e.to_string())
}

fn partner(partner: &Partner, now: Moment) -> Result<Entity, String> {
    let kind = match partner.kind() {
        PartnerKind::Auth => "auth",
        PartnerKind::Misp => "misp",
        PartnerKind::Service => "service",
    };
    let state = match partner.registration().state() {
        State::Active => "active",
        State::Inactive => "inactive",
        State::Deleted => "deleted",
    };
    let policies = partner.api_keys().iter().map(|key| text(key.policy()));
    let mut certificates = Vec::new();
    for (name, role) in [
        ("tls", Role::Tls),
        ("encryption", Role::Encryption),
        ("signature", Role::Signature),
    ] {
        let live = (partner.certificates().bindings().iter()).filter(|binding| {
            binding.role() == role && binding.valid_from() <= now && now <= binding.valid_until()
        });
        if let Some(newest) = live.max_by_key(|binding| binding.valid_from()) {
            certificates.push((name.to_owned(), certificate(newest)?));
        }
    }
    let attributes = HashMap::from([
        ("kind".to_owned(), text(kind)),
        ("state".to_owned(), text(state)),
        ("organisation".to_owned(), text(partner.organisation())),
        ("policies".to_owned(), Value::new_set(policies)),
        ("certificates".to_owned(), record(certificates)?),
    ]);
    let uid = uid("Partner", partner.id().as_str())?;
    Entity::new(uid, attributes, HashSet::new()).map_err(|e| e.to_string())
}

fn certificate(binding: &Binding) -> Result<Value, String> {
    let key = binding.certificate().key();
    let anchors = binding.anchors().iter().map(|name| text(name));
    record(vec![
        ("key".to_owned(), text(&key.kind().to_string())),
        ("bits".to_owned(), Value::new_long(i64::from(key.bits()))),
        (
            "validUntil".to_owned(),
            Value::new_long(binding.valid_until().s()),
        ),
        ("anchors".to_owned(), Value::new_set(anchors)),
    ])
}

fn record(fields: Vec<(String, Value)>) -> Result<Value, String> {
    Value::new_record(fields).map_err(|e| e.to_string())
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}
