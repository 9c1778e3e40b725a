# PostgreSQL's programs for the tests' throwaway clusters. To be sourced.

# Whether initdb, pg_ctl and postgres are on PATH or where Debian puts them.
have_postgres() {
    if command -v initdb && command -v pg_ctl && command -v postgres; then
        return 0
    fi >/dev/null
    local folder
    for folder in /usr/lib/postgresql/*/bin; do
        if [[ -x $folder/initdb && -x $folder/pg_ctl && -x $folder/postgres ]]; then
            return 0
        fi
    done
    return 1
}

# Installs them by apt, without the cluster that Debian's package would start.
install_postgres() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "PostgreSQL is not installed and there is no apt-get: install its server programs" >&2
        return 1
    fi
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null; then
            echo "PostgreSQL is not installed: run this as root once, or: apt-get install postgresql" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends postgresql-common
    # A setting of somebody else is left alone; ours is taken back.
    local setting=/etc/postgresql-common/createcluster.conf kept=
    kept=$("${as_root[@]}" cat "$setting" 2>/dev/null || true)
    printf '%s\ncreate_main_cluster = false\n' "$kept" | "${as_root[@]}" tee "$setting" >/dev/null
    local result=0
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends postgresql || result=$?
    printf '%s\n' "$kept" | "${as_root[@]}" tee "$setting" >/dev/null
    return "$result"
}

# The folder of PostgreSQL's programs.
postgres_bin() {
    local folder
    for folder in /usr/lib/postgresql/*/bin; do
        if [[ -x $folder/initdb && -x $folder/pg_ctl && -x $folder/postgres ]]; then
            echo "$folder"
            return 0
        fi
    done
    dirname "$(readlink -f "$(command -v initdb)")"
}
