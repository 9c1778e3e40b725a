//! The binary `spawnpoint`; everything is in the library, where tests reach it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Before anything builds a TLS client or server: rustls asks the process for it.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return ExitCode::FAILURE;
    }
    spawnpoint::cli::run().await
}
