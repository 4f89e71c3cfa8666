//! A worker's seats: how many steps run at once, and how many of them are one tenant's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The seats of one worker.
pub(crate) struct Seats {
    permits: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<Option<TenantId>, i32>>>,
    /// How many seats one tenant may hold: half of them, so that somebody else always finds one soon.
    pub(crate) share: i32,
}

impl Seats {
    pub(crate) fn new(seats: usize) -> Self {
        let share = i32::try_from(seats.div_ceil(2)).unwrap_or(i32::MAX);
        Self { permits: Arc::new(Semaphore::new(seats)), held: Arc::default(), share }
    }

    /// Returns once a seat is free.
    pub(crate) async fn one_is_free(&self) {
        // Closed never: an error cannot happen, and would only look once more.
        self.permits.acquire().await.ok();
    }

    pub(crate) fn are_taken(&self) -> bool {
        self.permits.available_permits() == 0
    }

    /// Every free seat, kept for whoever is claimed.
    pub(crate) fn free(&self) -> Vec<OwnedSemaphorePermit> {
        let mut free = Vec::new();
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            free.push(permit);
        }
        free
    }

    /// How many seats each tenant holds; the house counts as one.
    pub(crate) fn held(&self) -> Vec<(Option<TenantId>, i32)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(tenant, seats)| (*tenant, *seats)).collect()
    }

    /// Seats a flow of this tenant until the seat is dropped.
    pub(crate) fn take(&self, tenant: Option<TenantId>, permit: OwnedSemaphorePermit) -> Seat {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default() += 1;
        Seat { tenant, held: Arc::clone(&self.held), _permit: permit }
    }
}

/// A seat that is taken.
pub(crate) struct Seat {
    tenant: Option<TenantId>,
    held: Arc<Mutex<HashMap<Option<TenantId>, i32>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seats) = held.get_mut(&self.tenant) {
            *seats -= 1;
            if *seats == 0 {
                held.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_counted_while_it_is_taken() {
        let seats = Seats::new(3);
        assert_eq!(seats.share, 2);
        let mut free = seats.free();
        assert_eq!(free.len(), 3);
        let first = seats.take(None, free.remove(0));
        let second = seats.take(None, free.remove(0));
        drop(free);
        assert_eq!(seats.held(), [(None, 2)]);
        assert!(!seats.are_taken());
        drop((first, second));
        assert_eq!(seats.held(), []);
        assert_eq!(seats.free().len(), 3);
    }
}
