//! Generates the client of `OrderService` from the shared proto files, without protoc.
#![allow(
    clippy::print_stdout,
    reason = "cargo reads its directives from stdout"
)]

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    for file in ["common.proto", "order.proto"] {
        println!(
            "cargo:rerun-if-changed={}",
            root.join("spawnpoint/v1").join(file).display()
        );
    }
    let files = protox::compile([root.join("spawnpoint/v1/order.proto")], [&root])?;
    tonic_prost_build::configure()
        .build_server(false)
        // The payload is handed on without a copy.
        .bytes(".spawnpoint.v1.RecordStripeEventRequest.payload")
        .compile_fds(files)?;
    Ok(())
}
