# shellcheck shell=bash
# What scripts/test looks at besides running tests. Sourced; needs common.sh, packages.sh and CARGO.

# What looks at the scripts themselves.
lint_packages() { printf '%s\n' shellcheck; }

# The other sides that tests speak with: a real sshd, npm and Python for programs and libraries of others.
peer_packages() {
    printf '%s\n' openssh-server openssh-client openssl curl libssl-dev pkg-config python3 python3-venv slowhttptest
    if ! have npm; then printf '%s\n' npm; fi
}

# Ubuntu has Chromium as a snap only; whoever brings one says where its driver is.
browser_packages() {
    if [ -n "${BERTH_TEST_CHROMEDRIVER:-}" ]; then return 0; fi
    known chromium-driver || die "there is no package of Chromium here. Install Chromium and its driver (Ubuntu: snap install chromium), and name the driver: BERTH_TEST_CHROMEDRIVER=/snap/bin/chromium.chromedriver scripts/test"
    printf '%s\n' chromium chromium-driver
}

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

CLIPPY=(clippy --locked --workspace --all-targets)

check_clippy() {
    say "clippy, with warnings refused"
    cargo_here "${CLIPPY[@]}" -- --deny warnings || die "clippy has found something; it is above."
}

# Licences, sources, and who may use which library.
check_dependencies() {
    local deny
    deny=$(built cargo-deny 0.20.2) || exit 1
    step "fetching what Cargo.lock names" cargo_here fetch --locked || die "the crates could not be fetched."
    (cd "$CHECKOUT" && caller "$deny" --offline --log-level error check bans licenses sources) || die "a dependency is not allowed; it is above."
}

# The queries' offline data (.sqlx) must be what the compiler makes of them against the real schema.
# Where clippy is wanted too, it asks on the way: everything is looked at once.
check_queries() {
    local fresh database=berth_prepare what="checking the queries against the schema"
    local looking=("$CARGO" check --quiet --locked --package store)
    if wants lint; then
        what="clippy, with warnings refused, and the queries against the schema (some minutes)"
        looking=("$CARGO" "${CLIPPY[@]}" --quiet -- --deny warnings)
    fi
    fresh=$(caller mktemp -d)
    pg_psql -d postgres -c "drop database if exists $database with (force)" -c "create database $database owner berth_migrator"
    local file
    for file in "$CHECKOUT"/migrations/*.sql; do
        pg_psql -1 -d "$database" -c 'set role berth_migrator' -f - <"$file" >/dev/null
    done
    # Touched, so that the compiler asks anew; its answers go to a folder of their own.
    caller touch "$CHECKOUT/crates/store/src/lib.rs"
    (cd "$CHECKOUT" && step "$what" caller env SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$fresh" \
        DATABASE_URL="$(pg_url postgres "$database")" "${looking[@]}") ||
        die "a query does not fit the schema, or clippy has found something; it is above."
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
    # Programs of Python's know where they lie: a checkout that was moved needs them anew.
    if ! { echo "# $peers" && cat "${lists[@]}"; } | cmp -s - "$peers/installed"; then
        step "making room for Python's packages" caller python3 -m venv --clear "$peers" || die "python3 -m venv does not work."
        step "installing a mail server, a prober and readers of webhooks, counts and traces" caller "$peers/bin/pip" install --quiet --disable-pip-version-check "${lists[@]/#/--requirement=}" ||
            die "the mail server, the prober and the readers of webhooks, counts and traces could not be installed."
        { echo "# $peers" && cat "${lists[@]}"; } | put "$peers/installed" 0644
    fi
    (cd "$CHECKOUT/crates/server/tests/peers" && step "installing clients of Telegram, Slack and Discord" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the clients of Telegram, Slack and Discord could not be installed."
    (cd "$CHECKOUT/crates/clients/tests/peers" && step "installing a client of Stripe" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the client of Stripe could not be installed."
    (cd "$CHECKOUT/crates/web/tests/peers" && step "installing the vendors' clients" caller npm ci --no-audit --no-fund --ignore-scripts) ||
        die "the vendors' clients could not be installed."
    (cd "$CHECKOUT/crates/web/tests/peers" && { .venv/bin/pip --version >/dev/null 2>&1 || caller python3 -m venv --clear .venv; } &&
        step "installing the vendors' Python clients" caller .venv/bin/pip install --quiet --no-deps --disable-pip-version-check -r requirements.txt) ||
        die "the vendors' Python clients could not be installed."
}

# A program that forges tokens. It is no library of ours: it brings OpenSSL and another web server (deny.toml).
install_forger() {
    BERTH_TEST_JWT_HACK=$(built jwt-hack 2.6.0) || exit 1
    export BERTH_TEST_JWT_HACK
}

# built NAME VERSION: where a program of others is that only tests use. Built once, as fast as it can be, and kept:
# with the distribution's OpenSSL, and nothing optimised but the arithmetic of keys, which would take seconds each.
built() {
    local home how
    how=(env CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 OPENSSL_NO_VENDOR=1
        "$CARGO" install --config profile.dev.package.num-bigint-dig.opt-level=3 --quiet --locked --debug)
    # What was built in another way is another thing.
    home=${XDG_CACHE_HOME:-$CALLER_HOME/.cache}/berth/tools/$1-$2-$(printf '%s\n' "${how[@]}" | sha256sum | cut -c1-8)
    if [ ! -x "$home/bin/$1" ]; then
        step "building $1 (once, some minutes)" caller "${how[@]}" --root "$home" "$1@$2" || die "$1 could not be built."
    fi
    printf '%s\n' "$home/bin/$1"
}
