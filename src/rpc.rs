//! The gRPC door: the only user of generated types and of `tonic::Status`.

pub mod auth;
mod call;
pub mod catalog;
pub mod convert;
pub mod door;
pub mod methods;
pub mod nodes;
pub mod orders;
pub mod page;
pub mod provisioning;
pub mod server;
pub mod status;
pub mod validate;

/// Generated from `proto/spawnpoint/v1`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated; documented in the proto files"
)]
pub mod proto {
    tonic::include_proto!("spawnpoint.v1");

    /// The encoded descriptor set, for reflection and for tests that walk the methods.
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptor");
}
