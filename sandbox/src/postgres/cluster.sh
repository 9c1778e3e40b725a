# Owns one throwaway PostgreSQL cluster: makes it in a folder of its own, starts
# it, and removes both when standard input closes. The harness holds the other end
# of that pipe, so the cluster goes with the test process, however that ends.
#
# usage: sh -c "$(cat cluster.sh)" cluster BIN PORT...
# Answers one line: "ready PORT FOLDER", or "failed WHY" and the end of the log.
set -u
# The test process decides, not the terminal; a closed output is no reason to leave things behind.
trap '' INT HUP PIPE

bin=$1
shift
folder=$(mktemp -d "${TMPDIR:-/tmp}/spawnpoint-pg.XXXXXX" 2>/dev/null) ||
    folder=$(mktemp -d /tmp/spawnpoint-pg.XXXXXX) || {
    echo "failed: no temporary folder could be made"
    exit 1
}

remove() {
    "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop </dev/null >/dev/null 2>&1
    rm -rf "$folder"
}
trap remove EXIT
trap 'exit 1' TERM

fail() {
    echo "failed: $1"
    tail -n 20 "$folder/log"
    exit 1
}

"$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N \
    </dev/null >"$folder/log" 2>&1 || fail initdb

# Between the choice of a free port and the start somebody may take it: several are given.
for port in "$@"; do
    if "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 120 -o "-p $port \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder \
        -c max_connections=300" start </dev/null >>"$folder/log" 2>&1; then
        echo "ready $port $folder"
        cat >/dev/null
        exit 0
    fi
done
fail start
