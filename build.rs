//! Generates the gRPC types from `proto/`, without protoc, and the descriptor
//! set that reflection serves.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script so")]
fn main() -> Result<(), Box<dyn Error>> {
    let files = ["catalog", "order", "provisioning"]
        .map(|service| format!("proto/spawnpoint/v1/{service}.proto"));
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(&files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    // A client is generated as well: the sandbox buys with it, the tests call with it.
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
