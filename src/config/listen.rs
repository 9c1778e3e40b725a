//! `SPAWNPOINT_*` and `TLS_*`: where the service listens and what it allows callers.

use std::{net::SocketAddr, time::Duration};

use super::reader::Reader;

/// Addresses, limits and certificates.
#[derive(Clone, Debug)]
pub struct Listen {
    /// gRPC.
    pub grpc_addr: SocketAddr,
    /// Metrics and probes over HTTP.
    pub metrics_addr: SocketAddr,
    /// No call takes longer until its answer begins.
    pub call_cap: Duration,
    /// Calls at once.
    pub max_calls: usize,
    /// Open streams at once.
    pub max_streams: usize,
    /// How long calls may go on once the service goes away.
    pub drain: Duration,
    /// Certificates; plain text where there are none.
    pub tls: Option<Tls>,
    /// Whether a call without a token is the operator's. Never read from the environment:
    /// whoever starts the process must say so.
    pub insecure_loopback: bool,
}

/// Certificates and key, PEM.
#[derive(Clone)]
pub struct Tls {
    /// The server's certificate chain.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// Clients must show a certificate of this authority.
    pub client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("client_ca", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            grpc_addr: SocketAddr::from(([127, 0, 0, 1], 50051)),
            metrics_addr: SocketAddr::from(([127, 0, 0, 1], 9464)),
            call_cap: Duration::from_secs(10),
            max_calls: 1024,
            max_streams: 1024,
            drain: Duration::from_secs(10),
            tls: None,
            insecure_loopback: false,
        }
    }
}

const ADDRESS: &str = "an address and a port, such as 127.0.0.1:50051 or [::]:50051";

impl Listen {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        let grpc_addr = reader.parsed("SPAWNPOINT_GRPC_ADDR", defaults.grpc_addr, ADDRESS);
        let metrics_addr = reader.parsed("SPAWNPOINT_METRICS_ADDR", defaults.metrics_addr, ADDRESS);
        if grpc_addr == metrics_addr && grpc_addr.port() != 0 {
            let hint = "gRPC and metrics need a port each";
            reader.fault(
                "SPAWNPOINT_METRICS_ADDR",
                "equals SPAWNPOINT_GRPC_ADDR",
                hint,
            );
        }
        Self {
            grpc_addr,
            metrics_addr,
            call_cap: reader.seconds("SPAWNPOINT_CALL_SECONDS", defaults.call_cap, 0.1..=300.0),
            max_calls: reader.number("SPAWNPOINT_MAX_CALLS", defaults.max_calls, 1..=100_000),
            max_streams: reader.number("SPAWNPOINT_MAX_STREAMS", defaults.max_streams, 1..=100_000),
            drain: reader.seconds("SPAWNPOINT_DRAIN_SECONDS", defaults.drain, 0.0..=300.0),
            tls: read_tls(reader),
            insecure_loopback: defaults.insecure_loopback,
        }
    }
}

fn read_tls(reader: &mut Reader<'_>) -> Option<Tls> {
    let names = ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"];
    let [certificate, key, client_ca] =
        names.map(|name| reader.text(name).map(|path| (name, path)));
    let pair = match (&certificate, &key) {
        (None, None) => {
            if client_ca.is_some() {
                reader.fault(names[2], "is set without TLS_CERT and TLS_KEY", "");
            }
            return None;
        }
        (Some(_), None) => Err(names[1]),
        (None, Some(_)) => Err(names[0]),
        (Some(_), Some(_)) => Ok(()),
    };
    if let Err(missing) = pair {
        reader.fault(
            missing,
            "is missing",
            "TLS_CERT and TLS_KEY belong together",
        );
    }
    let mut pem = |file: Option<(&str, String)>, mark: &str| {
        let (name, path) = file?;
        match std::fs::read(&path) {
            Ok(bytes) if String::from_utf8_lossy(&bytes).contains(mark) => return Some(bytes),
            Ok(_) => reader.fault(name, format!("{path} holds no {mark} in PEM"), ""),
            Err(error) => reader.fault(name, format!("{path} cannot be read: {error}"), ""),
        }
        None
    };
    let certificate = pem(certificate, "CERTIFICATE");
    let key = pem(key, "PRIVATE KEY");
    let client_ca = pem(client_ca, "CERTIFICATE");
    Some(Tls {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}
