//! How many handshakes of a face may be half done, and who makes room.
//!
//! Whoever says nothing costs nothing, and must not keep others out: when all places are taken, the handshake that has
//! been going on for the longest gives its place to the newcomer. An honest one is over in a few round trips.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// The half-done handshakes of a face, oldest first.
#[derive(Debug)]
pub(super) struct Handshakes {
    max: usize,
    going: Mutex<VecDeque<Arc<Notify>>>,
}

/// The place of one handshake; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'h> {
    handshakes: &'h Handshakes,
    displaced: Arc<Notify>,
}

impl Handshakes {
    /// At most `max` at once.
    pub(super) const fn new(max: usize) -> Self {
        Self {
            max,
            going: Mutex::new(VecDeque::new()),
        }
    }

    /// A place for a newcomer: always, if need be that of the oldest.
    pub(super) fn enter(&self) -> Place<'_> {
        let displaced = Arc::new(Notify::new());
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        going.push_back(Arc::clone(&displaced));
        if going.len() > self.max
            && let Some(oldest) = going.pop_front()
        {
            // Kept until it looks: it may not be waiting at this moment.
            oldest.notify_one();
        }
        drop(going);
        Place {
            handshakes: self,
            displaced,
        }
    }
}

impl Place<'_> {
    /// Resolves when a newcomer has taken the place.
    pub(super) async fn lost(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.handshakes
            .going
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| !Arc::ptr_eq(other, &self.displaced));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_lost(place: &Place<'_>) -> bool {
        pin!(place.lost())
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn the_oldest_makes_room_and_nobody_else() {
        let handshakes = Handshakes::new(2);
        let (first, second) = (handshakes.enter(), handshakes.enter());
        assert!(!is_lost(&first) && !is_lost(&second));
        let third = handshakes.enter();
        assert!(is_lost(&first) && !is_lost(&second) && !is_lost(&third));
    }

    #[test]
    fn a_place_that_is_given_back_is_free() {
        let handshakes = Handshakes::new(2);
        let first = handshakes.enter();
        drop(handshakes.enter());
        let _third = handshakes.enter();
        assert!(!is_lost(&first));
    }
}
