//! The road of one exchange, from top to bottom.
//!
//! Each step consumes the type before it and returns the next, and each type is made by its own step alone: a handler can
//! be given nothing but a [`Permitted`], the edge can write nothing but a [`Recorded`]. A step that is left out does not
//! compile (`tests/it/skipped_steps.rs` holds that).

mod admit;
mod arrive;
mod browser;
pub mod canonical;
mod condition;
pub mod errands;
pub mod esignet;
mod evidence;
mod gateway;
mod identify;
mod jose;
mod limits;
pub mod logins;
mod needs_jose;
mod open;
pub mod outward;
mod overload;
mod own;
mod permit;
mod quota;
mod reactor;
mod record;
pub mod registrations;
pub mod registry;
pub mod replacements;
pub mod replay;
mod reply;
pub mod rules;
mod seal;
mod sharing;
mod snapshot;
mod standing;
pub mod subscriptions;
mod trail;

pub use admit::{Admitted, Near, Target, json_only};
pub use arrive::{Arrival, Arrived, Connection};
pub use evidence::Committed;
pub use gateway::{Accepts, Connected, Gateway, Pulse, StartError};
pub use identify::Identified;
pub use limits::Limits;
pub use open::{Content, IdaMessage, Opened};
pub use overload::{Shed, for_strangers, wait_for_strangers};
pub use own::Own;
pub use permit::Permitted;
pub use record::{Recorded, rfc3339};
pub use reply::{Handler, Handlers, Handling, IdaBody, RefusalAnswer, Reply};
pub use seal::{Sealed, plain_refusal};
pub use snapshot::{FaceState, Snapshot};
pub use trail::Trail;

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;

use crate::{
    refusal::{Code, Refusal},
    upstream::CallerBody,
};

/// How much and how long is read of a body whose request was refused.
const DRAIN_BYTES: usize = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Takes a request to its answer. Never fails: what is refused is answered, and recorded, as a refusal.
pub async fn exchange(gateway: &Arc<Gateway>, handlers: &Handlers, arrival: Arrival) -> Recorded {
    let mut trail = Trail::begin(gateway, &arrival);
    let place = gateway.enter(trail.snapshot(), &arrival.connection, trail.at);
    let limit = trail.snapshot().limits().exchange_timeout;
    let outcome = match &place {
        Err(overload) => Err(overload.clone()),
        Ok(_) => {
            let deadline = trail.started.checked_add(limit).unwrap_or(trail.started);
            let patience = trail.patience();
            // In a box: what is around it is moved several times before it is first polled.
            let mut way = Box::pin(road(gateway, handlers, arrival, &mut trail));
            let arrived = patience.until(deadline, way.as_mut()).await;
            arrived.unwrap_or_else(|| {
                let cause = "the whole exchange took too long";
                Err(Refusal::new(Code::HttpSlow, cause))
            })
        }
    };
    let sealed = match outcome {
        Ok(sealed) => sealed,
        Err(refusal) => {
            open::read_for_its_transaction(&mut trail).await;
            seal::seal_refusal(gateway, handlers, &refusal, &mut trail)
        }
    };
    if trail.http == "2"
        && let Some(body) = trail.unread.take()
    {
        // On HTTP/1.1 the gate reads on for a moment; here a stream that is reset at once loses the client its answer.
        tokio::spawn(drain(body));
    }
    let committed: Committed = evidence::commit(gateway, handlers, sealed, &mut trail).await;
    record::record(gateway, committed, &trail)
}

/// Reads and drops what a refused client still sends, for a moment.
async fn drain(mut body: CallerBody) {
    let mut left = DRAIN_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whatever comes of it: the answer is out.
    let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
}

async fn road(
    gateway: &Gateway,
    handlers: &Handlers,
    arrival: Arrival,
    trail: &mut Trail,
) -> Result<Sealed, Refusal> {
    let arrived: Arrived = arrive::arrive(arrival, trail)?;
    let identified: Identified = identify::identify(arrived, trail)?;
    let admitted: Admitted = admit::admit(gateway, identified, trail).await?;
    evidence::ready(gateway, trail)?;
    let opened: Opened = open::open(gateway, admitted, trail).await?;
    let permitted: Permitted = permit::permit(gateway, opened, trail)?;
    let reply: Reply = handlers.handle(permitted, trail).await?;
    let sealed: Sealed = seal::seal(gateway, reply, trail)?;
    Ok(sealed)
}
