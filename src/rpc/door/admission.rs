//! How many calls run at once. Beyond that a caller is told to come back, which
//! costs little; queueing would only make everybody time out.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{domain, rpc::methods::Method};

const COME_BACK: Duration = Duration::from_secs(1);

/// Counts calls and open streams apart: watchers must not starve buyers.
#[derive(Clone, Debug)]
pub struct Admission {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// One admitted call; dropped when its answer has been sent.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held, never read")] Option<OwnedSemaphorePermit>);

impl Admission {
    /// At most so many at once.
    pub fn new(calls: usize, streams: usize) -> Self {
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self {
            calls: semaphore(calls),
            streams: semaphore(streams),
        }
    }

    /// Admits a call or refuses it at once.
    pub(super) fn enter(&self, method: &Method) -> Result<Permit, domain::Error> {
        // Health is asked most urgently when the load is highest.
        if method.open && !method.streaming {
            return Ok(Permit(None));
        }
        let semaphore = if method.streaming {
            &self.streams
        } else {
            &self.calls
        };
        match Arc::clone(semaphore).try_acquire_owned() {
            Ok(permit) => Ok(Permit(Some(permit))),
            Err(_) => Err(domain::Error::RateLimited { after: COME_BACK }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use crate::rpc::methods;

    #[test]
    fn calls_and_streams_are_counted_apart() {
        let admission = Admission::new(1, 1);
        let call = methods::at("/spawnpoint.v1.OrderService/GetOrder");
        let stream = methods::at("/spawnpoint.v1.OrderService/WatchOrder");
        let health = methods::at("/grpc.health.v1.Health/Check");
        let held = admission.enter(call).unwrap();
        assert_eq!(admission.enter(call).unwrap_err().reason(), "RATE_LIMITED");
        let _watching = admission.enter(stream).unwrap();
        assert!(admission.enter(stream).is_err());
        assert!(admission.enter(health).is_ok());
        drop(held);
        assert!(admission.enter(call).is_ok());
    }
}
