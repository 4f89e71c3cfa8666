# shellcheck shell=bash
# What scripts/test looks at besides running tests. Sourced; needs common.sh, packages.sh and CARGO.

# What looks at the scripts themselves.
lint_packages() { printf '%s\n' shellcheck; }

# The other sides that tests speak with: a real sshd, npm and Python for programs and libraries of others.
peer_packages() {
    printf '%s\n' openssh-server openssh-client openssl curl make perl python3 python3-venv slowhttptest
    if ! have npm; then printf '%s\n' npm; fi
}

browser_packages() { printf '%s\n' chromium chromium-driver; }

check_format() { step "formatting" cargo_here fmt --all --check || die "run: cargo fmt --all"; }

# Every file of ours that a shell reads: by its name, or by its first line.
shell_files() {
    (cd "$CHECKOUT" && git ls-files scripts .ci deploy | while read -r file; do
        if [[ $file == *.sh ]] || head -n 1 "$file" | grep -qE '^#!.*sh$'; then echo "$file"; fi
    done)
}

check_shell() {
    local files
    mapfile -t files < <(shell_files)
    (cd "$CHECKOUT" && step "shell scripts" shellcheck -x "${files[@]}") || die "shellcheck has found something; it is above."
}

check_clippy() {
    say "clippy, with warnings refused"
    cargo_here clippy --locked --workspace --all-targets -- --deny warnings || die "clippy has found something; it is above."
}

# Licences, sources, and who may use which library.
check_dependencies() {
    local version=0.20.2
    if ! caller "$CARGO" deny --version 2>/dev/null | grep -q " $version$"; then
        step "building cargo-deny (once)" caller "$CARGO" install --quiet --locked "cargo-deny@$version" ||
            die "cargo-deny could not be built."
    fi
    step "fetching what Cargo.lock names" cargo_here fetch --locked || die "the crates could not be fetched."
    cargo_here deny --offline --log-level error check bans licenses sources || die "a dependency is not allowed; it is above."
}

# The queries' offline data (.sqlx) must be what the compiler makes of them against the real schema.
check_queries() {
    local fresh database=berth_prepare
    fresh=$(caller mktemp -d)
    pg_psql -d postgres -c "drop database if exists $database with (force)" -c "create database $database owner berth_migrator"
    local file
    for file in "$CHECKOUT"/migrations/*.sql; do
        pg_psql -1 -d "$database" -c 'set role berth_migrator' -f - <"$file" >/dev/null
    done
    # Touched, so that the compiler asks anew; its answers go to a folder of their own.
    caller touch "$CHECKOUT/crates/store/src/lib.rs"
    step "checking the queries against the schema" caller env SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$fresh" DATABASE_URL="$(pg_url postgres "$database")" \
        "$CARGO" check --quiet --locked --manifest-path "$CHECKOUT/Cargo.toml" --package store ||
        die "a query does not fit the schema."
    pg_psql -d postgres -c "drop database $database with (force)"
    if [ "${1:-}" = write ]; then
        root rm -rf "$CHECKOUT/.sqlx"
        caller cp -r "$fresh" "$CHECKOUT/.sqlx"
    elif ! diff -rq "$fresh" "$CHECKOUT/.sqlx" >&2; then
        die "the offline data of the queries is not up to date: run scripts/test prepare, and commit .sqlx."
    fi
    rm -rf "$fresh"
    # What the compiler made with the database at hand must not be taken for what it makes without.
    caller touch "$CHECKOUT/crates/store/src/lib.rs"
}

# The vendors' own clients, pinned by their lock file; a mail server, a receiver of webhooks, readers of counts,
# traces and envelopes, a prover of row security, a prober of the API, a forger of tokens.
install_peers() {
    local peers=$CHECKOUT/target/peers
    local lists=("$CHECKOUT/crates/clients/tests/peers/requirements.txt" "$CHECKOUT/crates/server/tests/peers/requirements.txt")
    lists+=("$CHECKOUT/crates/vault/tests/peers/requirements.txt")
    if ! cat "${lists[@]}" | cmp -s - "$peers/installed"; then
        step "making room for Python's packages" caller python3 -m venv --clear "$peers" || die "python3 -m venv does not work."
        step "installing a mail server, a prober and readers of webhooks, counts and traces" caller "$peers/bin/pip" install --quiet --disable-pip-version-check "${lists[@]/#/--requirement=}" ||
            die "the mail server, the prober and the readers of webhooks, counts and traces could not be installed."
        cat "${lists[@]}" | put "$peers/installed" 0644
    fi
    (cd "$CHECKOUT/crates/server/tests/peers" && step "installing clients of Telegram, Slack and Discord" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the clients of Telegram, Slack and Discord could not be installed."
    (cd "$CHECKOUT/crates/clients/tests/peers" && step "installing a client of Stripe" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the client of Stripe could not be installed."
    (cd "$CHECKOUT/crates/web/tests/peers" && step "installing the vendors' clients" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the vendors' clients could not be installed."
    (cd "$CHECKOUT/crates/web/tests/peers" && { [ -x .venv/bin/pip ] || caller python3 -m venv .venv; } &&
        step "installing the vendors' Python clients" caller .venv/bin/pip install --quiet --no-deps --disable-pip-version-check -r requirements.txt) ||
        die "the vendors' Python clients could not be installed."
}

# A program that forges tokens. It is no library of ours: it brings OpenSSL and another web server (deny.toml).
install_forger() {
    local version=2.6.0 home=$CHECKOUT/target/jwt-hack
    if ! grep -qs "\"jwt-hack $version " "$home/.crates.toml"; then
        step "building jwt-hack (once, some minutes)" caller env CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
            "$CARGO" install --quiet --locked --debug --root "$home" "jwt-hack@$version" || die "jwt-hack could not be built."
    fi
}
