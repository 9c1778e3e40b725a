# Headings with elapsed time, for scripts that do several things. To be sourced.

# The start is that of the outermost script, so that nested ones count on.
export SPAWNPOINT_STARTED="${SPAWNPOINT_STARTED:-$(date +%s)}"

# Minutes and seconds since the start: 3:07.
elapsed() {
    local seconds=$(($(date +%s) - SPAWNPOINT_STARTED))
    printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}

# section TEXT: begins a part of the output.
section() {
    printf '\n=== [%s] %s\n' "$(elapsed)" "$*"
}
