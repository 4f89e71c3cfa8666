# Short names for the commands that scripts/test runs. `just --list` shows them.

# Everything that has to pass, as continuous integration runs it
check: test

# The form of the code
fmt:
    cargo fmt --all --check

# Lints, warnings denied
clippy:
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# Every test; `just test e2e` for the real peers
test *ARGUMENTS:
    ./scripts/test {{ARGUMENTS}}

# Who may depend on what, from where, under which licence (needs cargo-deny)
deny:
    cargo deny --locked check bans licenses sources

# Rewrites .sqlx after a query changed
prepare:
    ./scripts/test prepare
