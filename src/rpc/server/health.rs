//! `grpc.health.v1`: one answer for the process and for each of its services,
//! because they share everything that could fail.

use tonic_health::{ServingStatus, server::HealthReporter};

use crate::rpc::methods;

/// Switches what health answers.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// NOT_SERVING until [`Health::set`].
    pub(super) async fn new() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        health.set(false).await;
        health
    }

    pub(super) fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }

    /// SERVING or NOT_SERVING; watchers learn of it.
    pub async fn set(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        // The empty name is the process as a whole.
        for name in [String::new()]
            .into_iter()
            .chain(methods::services().iter().cloned())
        {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
