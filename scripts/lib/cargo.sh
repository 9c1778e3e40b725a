# Cargo as the suite is built: with the file of settings that SPAWNPOINT_CARGO_CONFIG names, if
# any, so that what one script built the next one need not build in another way. To be sourced.
cargo() {
    command cargo ${SPAWNPOINT_CARGO_CONFIG:+--config "$SPAWNPOINT_CARGO_CONFIG"} "$@"
}
