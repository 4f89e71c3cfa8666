# shellcheck shell=bash
# The long form of the fault tests, and what is kept of it. Sourced; needs common.sh and cargo_here.

# Where the last run's counts are kept.
EVIDENCE=docs/evidence/faults.txt

# run_long: a quarter of an hour on two processors. BERTH_TEST_SEED repeats an earlier run's chances.
run_long() {
    local output commit seed=${BERTH_TEST_SEED:-} status=0
    [ -n "$seed" ] || seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    commit=$(caller git -C "$CHECKOUT" rev-parse HEAD)$(caller git -C "$CHECKOUT" diff --quiet HEAD || echo ', with changes')
    output=$(mktemp "${TMPDIR:-/tmp}/berth-long.XXXXXX")
    BERTH_TEST_LONG=1 BERTH_TEST_SEED=$seed
    export BERTH_TEST_LONG BERTH_TEST_SEED
    pass
    # One after the other: each is a load of its own.
    cargo_here test --locked --workspace --test faults -- --test-threads 1 2>&1 | tee "$output" >&2 || status=$?
    caller mkdir -p "$CHECKOUT/$(dirname "$EVIDENCE")"
    evidence "$output" "$commit" "$seed" "$status" | put "$CHECKOUT/$EVIDENCE" 0644
    rm -f "$output"
    say "Kept: $EVIDENCE"
    [ "$status" -eq 0 ] || die "the fault tests have found something; it is above. BERTH_TEST_SEED=$seed repeats the chances."
}

# evidence OUTPUT COMMIT SEED STATUS: when, what, where, and what was counted.
evidence() {
    echo "The fault tests in their long form, as scripts/test long ran them last."
    echo
    echo "date     $(date -u +%FT%TZ)"
    echo "commit   $2"
    echo "machine  $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u | head -n 1)), $(($(sed -n 's/^MemTotal:[^0-9]*\([0-9]*\).*/\1/p' /proc/meminfo) / 1048576)) GiB, Linux $(uname -r)"
    echo "seed     $3"
    echo "result   $(if [ "$4" -eq 0 ]; then echo passed; else echo failed; fi)"
    echo
    # What the tests said, without the seeds, which are all the same.
    sed -n 's/^\(test .* \.\.\. \)*    \([a-z ]*: .* stuck, in .*\)$/\2/p; s/^\(test result: .*\)$/\1/p' "$1"
}
