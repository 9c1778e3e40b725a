//! The way of a webhook under fire: forged, replayed, doubled on many replicas, killed
//! on either side of the commit, cut off from the core, in every rendering, in bursts.

mod bodies;
mod burst;
mod crashes;
mod cuts;
mod forged;
mod money;
mod parallel;
mod renderings;
mod sending;
#[path = "../../gateway/tests/it/support/proxy.rs"]
#[allow(dead_code, reason = "shared with the gateway's own tests")]
mod wire;
