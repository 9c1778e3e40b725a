//! Spawnpoint.
fn main() {}
