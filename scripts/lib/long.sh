# shellcheck shell=bash
# The long form of the fault tests, and what is kept of it. Sourced; needs common.sh and cargo_here.

# Where the last run's counts are kept.
EVIDENCE=docs/evidence

# run_long: twenty minutes on two processors. BERTH_TEST_SEED repeats an earlier run's chances.
run_long() {
    local seed=${BERTH_TEST_SEED:-}
    [ -n "$seed" ] || seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    BERTH_TEST_LONG=1 BERTH_TEST_SEED=$seed
    # What is under load keeps up with it only when it was compiled for that.
    CARGO_PROFILE_DEV_OPT_LEVEL=1
    export BERTH_TEST_LONG BERTH_TEST_SEED CARGO_PROFILE_DEV_OPT_LEVEL
    pass
    long_form faults "The fault tests in their long form, as scripts/test long ran them last."
    long_form schemathesis "schemathesis in its long form, as scripts/test long ran it last." --ignored peers::prober::
}

# long_form NAME TITLE ARGUMENT...: one after the other, because each is a load of its own; what they counted is kept.
long_form() {
    local name=$1 title=$2 output commit status=0
    shift 2
    commit=$(caller git -C "$CHECKOUT" rev-parse HEAD)$(caller git -C "$CHECKOUT" diff --quiet HEAD || echo ', with changes')
    output=$(mktemp "${TMPDIR:-/tmp}/berth-long.XXXXXX")
    cargo_here test --locked --workspace --test faults -- --test-threads 1 "$@" 2>&1 | tee "$output" >&2 || status=$?
    caller mkdir -p "$CHECKOUT/$EVIDENCE"
    { echo "$title" && evidence "$output" "$commit" "$BERTH_TEST_SEED" "$status"; } | put "$CHECKOUT/$EVIDENCE/$name.txt" 0644
    rm -f "$output"
    say "Kept: $EVIDENCE/$name.txt"
    [ "$status" -eq 0 ] || die "$name: something was found; it is above. BERTH_TEST_SEED=$BERTH_TEST_SEED repeats the chances."
}

# evidence OUTPUT COMMIT SEED STATUS: when, what, where, and what was counted.
evidence() {
    echo
    echo "date     $(date -u +%FT%TZ)"
    echo "commit   $2"
    echo "machine  $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u | head -n 1)), $(($(sed -n 's/^MemTotal:[^0-9]*\([0-9]*\).*/\1/p' /proc/meminfo) / 1048576)) GiB, Linux $(uname -r)"
    echo "seed     $3"
    echo "result   $(if [ "$4" -eq 0 ]; then echo passed; else echo failed; fi)"
    echo
    # What the tests said, without the seeds, which are all the same.
    sed -n 's/^\(test .* \.\.\. \)*    \([a-z ]*: .* \(stuck\|failures\), in .*\)$/\2/p; s/^\(test result: .*\)$/\1/p' "$1"
}
