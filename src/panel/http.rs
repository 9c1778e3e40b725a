//! The panel over HTTP: the client, its set-up, and the forms of reading.
//!
//! The routes are in `calls`. How a request travels is in `exchange`, what a failure
//! means in `sort`, how JSON looks in `wire`. Never retries.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, Method, redirect, retry};

use super::{
    Budget, Class, Error, Page,
    exchange::{Ask, Link, Transport},
    paging::Walk,
    sort::Call,
    wire::{self, Flaw, Resource},
};

mod calls;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::new_server;

pub use settings::{Settings, SetupError};

/// A Pterodactyl panel behind its Application API. Cheap to clone.
#[derive(Clone)]
pub struct HttpPanel {
    link: Arc<Link>,
    class: Class,
    read: Duration,
    node: Duration,
    create: Duration,
}

/// Apache closes an idle connection after 5 s, and a create that is sent into a closing one
/// has an unknown outcome; so we let go first.
const IDLE: Duration = Duration::from_secs(4);
/// A dead HTTP/2 connection would fail one call after the other until TCP gives up.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

impl HttpPanel {
    /// A client whose calls are purchases.
    ///
    /// A rustls crypto provider must have been installed: reqwest panics without one.
    pub fn new(settings: Settings, budget: Arc<dyn Budget>) -> Result<Self, SetupError> {
        let mut client = Client::builder()
            .user_agent(concat!("spawnpoint/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG);
        if settings.loopback() {
            // The environment's proxy has another loopback than we have.
            client = client.no_proxy();
        }
        if settings.base.scheme() == "http" {
            // Nothing is encrypted: the machine's certificates need not be read.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(SetupError::Client)?;
        Self::over(Box::new(client), settings, budget)
    }

    /// As [`HttpPanel::new`], over another transport. Time-outs are the transport's own.
    pub fn over(
        transport: Box<dyn Transport>,
        settings: Settings,
        budget: Arc<dyn Budget>,
    ) -> Result<Self, SetupError> {
        let root = settings.root()?;
        let Settings {
            key,
            body_max,
            read_timeout,
            node_timeout,
            create_timeout,
            ..
        } = settings;
        Ok(Self {
            link: Arc::new(Link {
                transport,
                root,
                key,
                budget,
                body_max,
            }),
            class: Class::Purchase,
            read: read_timeout,
            node: node_timeout,
            create: create_timeout,
        })
    }

    /// The same client for work that no customer waits for.
    pub fn housekeeping(&self) -> Self {
        Self {
            class: Class::Housekeeping,
            ..self.clone()
        }
    }

    async fn get(
        &self,
        template: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, Error> {
        let (call, method, time_out) = (Call::Read, Method::GET, self.read);
        let ask = Ask {
            call,
            method,
            template,
            path,
            query,
            body: None,
            time_out,
            begin_by: None,
        };
        self.link.run(self.class, ask).await
    }

    /// A look-up: not found is an answer.
    async fn look_up<R: Resource>(
        &self,
        template: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<R>, Error> {
        match self.get(template, path, query).await {
            Ok(content) => item(Call::Read, &content).map(Some),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn one_page<R: Resource>(
        &self,
        template: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        page: u32,
    ) -> Result<Page<R>, Error> {
        let number = page.to_string();
        let mut query = query.to_vec();
        query.push(("page", &number));
        let content = self.get(template, path, &query).await?;
        wire::page(&content, page).map_err(|flaw| unreadable(Call::Read, flaw))
    }

    /// Goes through all pages until a row is what was looked for.
    async fn walk<R: Resource + Send, T: Send>(
        &self,
        template: &'static str,
        query: &[(&str, &str)],
        mut look: impl FnMut(R) -> Option<T> + Send,
    ) -> Result<Option<T>, Error> {
        let path = [template.trim_start_matches('/')];
        let mut walk = Walk::default();
        loop {
            let page: Page<R> = self.one_page(template, &path, query, walk.page()).await?;
            let ids: Vec<i64> = page.data.iter().map(R::id).collect();
            let found = page.data.into_iter().find_map(&mut look);
            if found.is_some() || !walk.go_on(&ids, page.pages)? {
                return Ok(found);
            }
        }
    }
}

fn item<R: Resource>(call: Call, content: &[u8]) -> Result<R, Error> {
    wire::item(content).map_err(|flaw| unreadable(call, flaw))
}

pub(super) fn unreadable(call: Call, flaw: Flaw) -> Error {
    match flaw {
        Flaw::NotThePanel => call.not_json(),
        Flaw::Content(what) => Error::Garbage { what },
    }
}

impl fmt::Debug for HttpPanel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPanel")
            .field("root", &self.link.root.as_str())
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}
