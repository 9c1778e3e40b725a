//! How the client of a panel is set up.

use std::{fmt, time::Duration};

use url::{Host, Url};

use crate::panel::exchange::KeySource;

/// Where the panel is and how long its calls may take.
#[derive(Clone)]
pub struct Settings {
    /// Root of the panel; `/api/application` is added.
    pub base: Url,
    /// The application key, asked for before every request.
    pub key: KeySource,
    /// Name look-up, connection and TLS.
    pub connect_timeout: Duration,
    /// Reads, calls about users, and the details of a server.
    pub read_timeout: Duration,
    /// Calls that have the node act on a server, or that tell it of new limits: the panel itself
    /// may wait 15 s for it.
    pub node_timeout: Duration,
    /// Creating and deleting a server: the panel itself may wait 30 s for the node.
    pub create_timeout: Duration,
    /// Largest body that is read, in bytes.
    pub body_max: usize,
}

/// Why a client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address cannot be that of a panel.
    #[error("panel address {0}")]
    Address(&'static str),
    /// The HTTP client could not be built.
    #[error("could not build the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Settings {
    /// The usual limits for this panel and key.
    pub fn new(base: Url, key: KeySource) -> Self {
        Self {
            base,
            key,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            node_timeout: Duration::from_secs(25),
            create_timeout: Duration::from_secs(40),
            body_max: 8 << 20,
        }
    }

    /// Whether the key would cross a network in the clear: worth a warning at start.
    pub fn insecure(&self) -> bool {
        self.base.scheme() != "https" && !self.loopback()
    }

    /// The longest that any call may take: a lease must outlast it.
    pub fn longest_call(&self) -> Duration {
        self.read_timeout
            .max(self.node_timeout)
            .max(self.create_timeout)
    }

    pub(super) fn loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The root of the API, without a slash at the end.
    pub(super) fn root(&self) -> Result<Url, SetupError> {
        let base = &self.base;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(SetupError::Address("must be http or https with a host"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(SetupError::Address("must hold no user name or password"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(SetupError::Address("must hold no query or fragment"));
        }
        let mut root = base.clone();
        root.path_segments_mut()
            .map_err(|()| SetupError::Address("cannot hold a path"))?
            .pop_if_empty()
            .extend(["api", "application"]);
        Ok(root)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(base: &str) -> Settings {
        Settings::new(base.parse().unwrap(), Arc::new(|| "key".into()))
    }

    #[test]
    fn the_root_is_below_any_base() {
        for (base, root) in [
            ("https://panel.test", "https://panel.test/api/application"),
            ("https://panel.test/", "https://panel.test/api/application"),
            (
                "http://10.0.0.2:81/sub",
                "http://10.0.0.2:81/sub/api/application",
            ),
            (
                "http://10.0.0.2/sub/",
                "http://10.0.0.2/sub/api/application",
            ),
        ] {
            assert_eq!(at(base).root().unwrap().as_str(), root);
        }
    }

    #[test]
    fn an_address_that_cannot_be_a_panel_is_refused() {
        for base in [
            "ftp://panel.test",
            "mailto:a@b.test",
            "https://me:pw@panel.test",
            "https://panel.test/?a=b",
            "https://panel.test/#x",
        ] {
            assert!(
                matches!(at(base).root(), Err(SetupError::Address(_))),
                "{base}"
            );
        }
    }

    #[test]
    fn only_plain_http_over_a_network_is_insecure() {
        for (base, insecure) in [
            ("https://panel.test", false),
            ("http://127.0.0.1:8081", false),
            ("http://[::1]:8081", false),
            ("http://localhost:8081", false),
            ("http://10.0.0.2", true),
            ("http://panel.test", true),
        ] {
            assert_eq!(at(base).insecure(), insecure, "{base}");
        }
    }

    /// P-29: the usual time-out of a whole call; a create waits longer, because the panel
    /// itself may wait 30 s for the node.
    #[test]
    fn an_answer_has_to_be_there_in_time() {
        let settings = at("https://panel.test");
        assert!(settings.read_timeout <= Duration::from_secs(15));
        assert_eq!(settings.longest_call(), settings.create_timeout);
        assert!(settings.create_timeout <= Duration::from_secs(45));
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", at("https://panel.test"));
        assert!(
            text.contains("panel.test") && !text.contains("key"),
            "{text}"
        );
    }
}
