//! The running panel as a test holds it: its address, its rows, its calls.

mod backup;
mod meddling;
mod trouble;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::calls::{Call, DaemonCall, under};
use super::clock::PanelClock;
use super::config::PanelConfig;
use super::http;
use super::state::Shared;
use super::views::{ServerView, UserView};

pub use backup::Backup;
pub use meddling::{Filling, ServerSeed};

/// Starts stand-in panels.
#[derive(Debug)]
pub struct Panel;

impl Panel {
    /// Binds the address (port 0 picks one) and serves until stopped or dropped.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        config: PanelConfig,
        addr: SocketAddr,
    ) -> Result<RunningPanel, std::io::Error> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(&config));
        let stop = CancellationToken::new();
        let task = tokio::spawn(http::serve(listener, Arc::clone(&shared), stop.clone()));
        let key = config
            .keys
            .first()
            .map(|key| key.token.clone())
            .unwrap_or_default();
        Ok(RunningPanel {
            addr,
            key,
            shared,
            stop: stop.drop_guard(),
            task,
        })
    }
}

/// A panel that serves. Dropping it stops it.
#[derive(Debug)]
pub struct RunningPanel {
    addr: SocketAddr,
    key: String,
    shared: Arc<Shared>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl RunningPanel {
    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The application key for callers.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its clock.
    pub fn clock(&self) -> PanelClock {
        self.shared.clock.clone()
    }

    /// Moves its clock forward.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Every request so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().log.calls().to_vec()
    }

    /// Requests of a method under a path, given with or without `/api/application`.
    pub fn count(&self, method: &str, path_prefix: &str) -> usize {
        self.count_where(method, path_prefix, |_| true)
    }

    /// Such requests that the panel answered with a 2xx, whether or not the answer arrived.
    pub fn succeeded(&self, method: &str, path_prefix: &str) -> usize {
        self.count_where(method, path_prefix, |call| {
            call.status
                .is_some_and(|status| (200..300).contains(&status))
        })
    }

    /// Requests of a method on a route, as in `/servers/{server}/suspend`, given without
    /// `/api/application`: `count` of a path meets everything under it.
    pub fn count_route(&self, method: &str, template: &str) -> usize {
        self.route_calls(method, template, |_| true)
    }

    /// Such requests that the panel answered with a 2xx.
    pub fn succeeded_route(&self, method: &str, template: &str) -> usize {
        self.route_calls(method, template, |call| {
            call.status
                .is_some_and(|status| (200..300).contains(&status))
        })
    }

    fn route_calls(&self, method: &str, template: &str, test: impl Fn(&Call) -> bool) -> usize {
        let wanted = format!("/api/application{template}");
        self.count_where(method, "", |call| {
            call.template == Some(wanted.as_str()) && test(call)
        })
    }

    fn count_where(&self, method: &str, prefix: &str, test: impl Fn(&Call) -> bool) -> usize {
        let state = self.shared.lock();
        let calls = state.log.calls().iter();
        calls
            .filter(|call| call.method == method && under(&call.path, prefix) && test(call))
            .count()
    }

    /// Every request of the panel to a daemon, in order.
    pub fn daemon_calls(&self) -> Vec<DaemonCall> {
        self.shared.lock().log.daemon_calls().to_vec()
    }

    /// Every server row, by id.
    pub fn servers(&self) -> Vec<ServerView> {
        ServerView::all(&self.shared.lock())
    }

    /// The server with this external id.
    pub fn server(&self, external_id: &str) -> Option<ServerView> {
        self.servers()
            .into_iter()
            .find(|row| row.external_id.as_deref() == Some(external_id))
    }

    /// Every user row, by id.
    pub fn users(&self) -> Vec<UserView> {
        self.shared
            .lock()
            .users
            .values()
            .map(UserView::of)
            .collect()
    }

    /// The ids of a node's free allocations.
    pub fn free_allocations(&self, node: i64) -> Vec<i64> {
        let state = self.shared.lock();
        let free = state.allocations.values();
        free.filter(|row| row.node_id == node && row.server_id.is_none())
            .map(|row| row.id)
            .collect()
    }

    /// Stops serving and closes every connection. Work already begun goes on to its end.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "panel stand-in: serving ended badly");
        }
    }
}
