//! What was handed on is not handed on again: by the event's id, and by topic and transaction.
//!
//! A mark is claimed for one delivery just before it is handed on. A claim that belongs to another delivery makes this one a
//! duplicate, once that other one is done; while it is not, nobody can say so yet.

use std::{future::Future, pin::Pin, sync::Arc};

use super::kind;
use crate::{
    exchange::{Gateway, errands::Doer},
    store::{Errand, NewErrand, Put, Settlement, Standing, Store, StoreError},
};

/// What a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is this delivery's.
    Ours,
    /// Another delivery has it, which was handed on.
    Duplicate,
    /// Another delivery has it, which is parked.
    Parked,
    /// Another delivery has it, which is under way.
    UnderWay,
}

/// Claims a mark for the delivery with this key.
pub(super) async fn claim(
    gateway: &Gateway,
    store: &Store,
    mark: &str,
    delivery: &str,
) -> Result<Claim, StoreError> {
    let now = gateway.clock().now();
    let new = NewErrand {
        kind: kind::SEEN,
        key: mark.to_owned(),
        step: "seen",
        body: delivery.as_bytes().to_vec(),
        due: now,
    };
    if store.put(new, now).await? == Put::Stored {
        return Ok(Claim::Ours);
    }
    let owner = store.find(kind::SEEN, mark).await?;
    let Some(owner) = owner.and_then(|e| String::from_utf8(e.body().to_vec()).ok()) else {
        return Ok(Claim::Duplicate);
    };
    if owner == delivery {
        return Ok(Claim::Ours);
    }
    let standing = store.find(kind::DELIVERY, &owner).await?;
    Ok(match standing.as_ref().map(Errand::standing) {
        // Given up by a person: it was not handed on.
        Some(Standing::Done) if standing.is_some_and(|e| e.body().is_empty()) => Claim::Ours,
        Some(Standing::Parked) => Claim::Parked,
        Some(Standing::Open) => Claim::UnderWay,
        Some(Standing::Done) | None => Claim::Duplicate,
    })
}

/// A mark has nothing to do: it is done, and kept for the retention.
#[derive(Debug)]
pub(super) struct Seen;

impl Doer for Seen {
    fn kind(&self) -> &'static str {
        kind::SEEN
    }

    fn attempt<'a>(
        &'a self,
        _: &'a Arc<Gateway>,
        _: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(std::future::ready(Settlement::Done))
    }
}
