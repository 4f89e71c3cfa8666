# shellcheck shell=bash
# What waits for a network more than for a processor goes on beside the compiler. Sourced; needs common.sh.

declare -A BESIDE=()

# beside NAME COMMAND...: begins it. What it says is kept in .berth/NAME.log until somebody needs what it makes.
beside() {
    local name=$1
    shift
    # A group of its own, so that it can be ended with everything that it started.
    set -m
    "$@" >"$STATE/$name.log" 2>&1 </dev/null 8>&- &
    set +m
    BESIDE[$name]=$!
}

# joined NAME: waits for its end and says what it said. Fails where that did.
joined() {
    local status=0
    wait "${BESIDE[$1]}" || status=$?
    unset "BESIDE[$1]"
    cat "$STATE/$1.log" >&2
    return "$status"
}

# Ends what nobody waited for.
beside_end() {
    local name
    for name in "${!BESIDE[@]}"; do
        kill -TERM -- "-${BESIDE[$name]}" 2>/dev/null || true
        wait "${BESIDE[$name]}" 2>/dev/null || true
    done
    BESIDE=()
}
