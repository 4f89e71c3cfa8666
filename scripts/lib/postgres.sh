# shellcheck shell=bash
# A private Postgres of this checkout, never run as root.
#
# pg_use dev    the development cluster: .berth/pg, a password for every role
# pg_use test   the cluster of the tests: .berth/pg-test, no fsync, reached through its
#               socket only, which nobody but the caller may touch
# then pg_start, pg_psql, pg_url, pg_stop.

pg_use() {
    PG_KIND=$1
    case "$PG_KIND" in
        dev) PG_LINK=$STATE/pg ;;
        test) PG_LINK=$STATE/pg-test ;;
        *) die "there is no cluster called $PG_KIND." ;;
    esac
    PG_SOCKETS=$RUN_DIR/pg-$PG_KIND
    if [ "$CALLER" = root ]; then PG_USER=postgres; else PG_USER=$CALLER; fi
}

# The newest server, or the one that made the data.
pg_bin() {
    local version
    if version=$(as "$PG_USER" cat "$PG_LINK/data/PG_VERSION" 2>/dev/null); then
        [ -x "/usr/lib/postgresql/$version/bin/postgres" ] ||
            die "$PG_LINK was made by Postgres $version, which is not installed. Install postgresql-$version, or remove .berth to begin anew."
    else
        version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
        [ -n "$version" ] || die "no Postgres server is installed. Install the package postgresql."
    fi
    PG_BIN=/usr/lib/postgresql/$version/bin
}

# The data lies in the checkout, unless Postgres' user may not go there; then in /var/lib, behind a link.
pg_place() {
    local elsewhere
    if [ ! -e "$PG_LINK" ]; then
        rm -f "$PG_LINK"
        if as "$PG_USER" test -x "$STATE"; then
            root install -d -m 0700 -o "$PG_USER" "$PG_LINK"
        else
            elsewhere=/var/lib/berth-dev/$CHECKOUT_ID/$(basename "$PG_LINK")
            root install -d -m 0755 /var/lib/berth-dev "/var/lib/berth-dev/$CHECKOUT_ID"
            root install -d -m 0700 -o "$PG_USER" "$elsewhere"
            ln -sfn "$elsewhere" "$PG_LINK"
        fi
    fi
    PG_HOME=$(readlink -f "$PG_LINK")
    PG_DATA=$PG_HOME/data
    # Its user and the caller's group may pass, nobody else.
    root install -d -m 0750 -o "$PG_USER" -g "$CALLER_GROUP" "$PG_SOCKETS"
}

pg_running() {
    local pid
    pid=$(as "$PG_USER" sed -n 1p "$PG_DATA/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    if ! alive "$pid"; then
        # It was killed. Where nobody collects the dead, its number would pass for a running server.
        as "$PG_USER" rm -f "$PG_DATA/postmaster.pid"
        return 1
    fi
    as "$PG_USER" "$PG_BIN/pg_ctl" status -D "$PG_DATA" >/dev/null 2>&1
}

pg_init() {
    as "$PG_USER" rm -rf "$PG_DATA.new"
    if [ "$PG_KIND" = test ]; then
        as "$PG_USER" "$PG_BIN/initdb" -D "$PG_DATA.new" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust --no-sync
    else
        as "$PG_USER" "$PG_BIN/initdb" -D "$PG_DATA.new" -U postgres -E UTF8 --locale=C.UTF-8 \
            --auth-local=peer --auth-host=scram-sha-256
        # The system user that runs the server is its superuser, over the socket only.
        # shellcheck disable=SC2016 # the inner shell expands them
        as "$PG_USER" sh -c 'echo "berth $1 postgres" >>"$2/pg_ident.conf" &&
            sed -i "s/^\(local.*\)peer\$/\1peer map=berth/" "$2/pg_hba.conf"' sh "$PG_USER" "$PG_DATA.new"
    fi
    as "$PG_USER" mv "$PG_DATA.new" "$PG_DATA"
}

# pg_start: makes the cluster if need be, starts it if need be. Afterwards PG_PORT is set.
pg_start() {
    local options listen
    state_dir
    if [ "$PG_USER" = postgres ] && ! id -u postgres >/dev/null 2>&1; then
        die "the user postgres is missing. Install the package postgresql."
    fi
    pg_place
    pg_bin
    if ! as "$PG_USER" test -s "$PG_DATA/PG_VERSION"; then
        step "making a Postgres cluster in ${PG_LINK#"$CHECKOUT"/}" pg_init || die "initdb failed."
    fi
    if pg_running; then
        PG_PORT=$(as "$PG_USER" sed -n 4p "$PG_DATA/postmaster.pid")
        return 0
    fi
    options="-c unix_socket_directories=$PG_SOCKETS"
    if [ "$PG_KIND" = test ]; then
        PG_PORT=5432
        listen=''
        options="$options -c max_connections=500 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    else
        listen=127.0.0.1
        options="$options -c max_connections=200"
        PG_PORT=$(kept pg.port free_port 127.0.0.1 54320)
        if taken 127.0.0.1 "$PG_PORT"; then
            rm -f "$STATE/pg.port"
            PG_PORT=$(kept pg.port free_port 127.0.0.1 $((PG_PORT + 1)))
        fi
    fi
    # It must not keep the locks of our scripts (8 and 9).
    step "starting Postgres" as "$PG_USER" "$PG_BIN/pg_ctl" start -s -w -t 60 -D "$PG_DATA" -l "$PG_HOME/log" \
        -o "-c listen_addresses='$listen' -c port=$PG_PORT $options" 8>&- 9>&- || {
        as "$PG_USER" tail -n 20 "$PG_HOME/log" >&2 || true
        die "Postgres did not start; its last lines are above, all of them in $PG_HOME/log."
    }
}

# pg_psql ARGUMENT...: as its superuser.
pg_psql() { as "$PG_USER" "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$PG_SOCKETS" -p "$PG_PORT" -U postgres "$@"; }

# pg_url ROLE DATABASE [PASSWORD]
pg_url() {
    if [ "$PG_KIND" = test ]; then
        printf 'postgres://%s@localhost:%s/%s?host=%s\n' "$1" "$PG_PORT" "$2" "$PG_SOCKETS"
    else
        printf 'postgres://%s:%s@127.0.0.1:%s/%s\n' "$1" "${3:-}" "$PG_PORT" "$2"
    fi
}

pg_stop() {
    [ -e "$PG_LINK/." ] || return 0
    PG_HOME=$(readlink -f "$PG_LINK")
    PG_DATA=$PG_HOME/data
    as "$PG_USER" test -s "$PG_DATA/PG_VERSION" || return 0
    pg_bin
    pg_running || return 0
    step "stopping Postgres" as "$PG_USER" "$PG_BIN/pg_ctl" stop -s -w -t 60 -m fast -D "$PG_DATA" ||
        say "Postgres did not stop; look at $PG_HOME/log."
}
