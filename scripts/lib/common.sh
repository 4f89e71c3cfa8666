# shellcheck shell=bash
# What every script here shares: words, rights, names and places of this checkout.
# Sourced, never run. Afterwards CHECKOUT, STATE, CHECKOUT_ID and RUN_DIR are set.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Everything that a checkout leaves behind lies here.
STATE=$CHECKOUT/.berth
# Tells two checkouts on one computer apart, also in names that must be short.
CHECKOUT_ID=$(printf '%s' "$CHECKOUT" | sha256sum | cut -c1-8)
# Sockets: their paths must stay under 108 characters however deep the checkout lies.
RUN_DIR=/run/berth-$CHECKOUT_ID

say() { printf '%s\n' "$*" >&2; }

# die SENTENCE...: what happened, and what to do about it.
die() {
    printf 'Sorry: %s\n' "$*" >&2
    exit 1
}

# step SENTENCE COMMAND...: runs it with its output in a file; says what and how long, and on
# failure shows the end of the output.
step() {
    local what=$1 log since seconds
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/berth-step.XXXXXX")
    since=$SECONDS
    printf '  %s ... ' "$what" >&2
    if "$@" >"$log" 2>&1; then
        seconds=$((SECONDS - since))
        printf 'done (%s s)\n' "$seconds" >&2
        rm -f "$log"
    else
        printf 'failed\n' >&2
        tail -n 25 "$log" | sed 's/^/    /' >&2
        rm -f "$log"
        return 1
    fi
}

have() { command -v "$1" >/dev/null 2>&1; }

# Who asked: the person behind sudo, or whoever runs this.
CALLER=$(id -un)
if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_USER:-}" ] && id -u "$SUDO_USER" >/dev/null 2>&1; then
    CALLER=$SUDO_USER
fi
CALLER_GROUP=$(id -gn "$CALLER")
CALLER_HOME=$(getent passwd "$CALLER" | cut -d: -f6)

# root COMMAND...: as root.
root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "this needs root rights and sudo is missing. Run it as root."
    fi
}

# as USER COMMAND...: as somebody else, from a folder that everybody may enter.
as() {
    local user=$1
    shift
    if [ "$(id -un)" = "$user" ]; then
        (cd / && "$@")
    elif [ "$(id -u)" -eq 0 ]; then
        (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --reset-env -- "$@")
    else
        (cd / && sudo -u "$user" -- "$@")
    fi
}

# caller COMMAND...: as the person who asked, with their home, so that nothing of theirs becomes root's.
# CALLER_AS is what to put before a command for that.
CALLER_AS=()
if [ "$(id -un)" != "$CALLER" ]; then
    CALLER_AS=(setpriv --reuid "$CALLER" --regid "$CALLER_GROUP" --init-groups --
        env HOME="$CALLER_HOME" USER="$CALLER" LOGNAME="$CALLER")
fi
caller() { "${CALLER_AS[@]}" "$@"; }

# own PATH: gives it to the person who asked.
own() { [ "$(id -u)" -ne 0 ] || chown "$CALLER:$CALLER_GROUP" "$@"; }

state_dir() {
    mkdir -p "$STATE"
    own "$STATE"
    root install -d -m 0755 "$RUN_DIR"
}

# put FILE MODE: standard input becomes the file, at once or not at all.
put() {
    local file=$1 mode=$2 beside
    beside=$(mktemp "$file.XXXXXX")
    cat >"$beside"
    chmod "$mode" "$beside"
    own "$beside"
    mv -f "$beside" "$file"
}

# taken ADDRESS PORT: whether somebody listens there.
taken() {
    ss -Hltn 2>/dev/null | awk '{ print $4 }' | grep -qE "^(\*|0\.0\.0\.0|\[::\]|$(printf '%s' "$1" | sed 's/\./\\./g')):$2\$"
}

# free_port ADDRESS FIRST: the first port from there on that nobody listens on.
free_port() {
    local port
    for ((port = $2; port < $2 + 200; port++)); do
        if ! taken "$1" "$port"; then
            printf '%s\n' "$port"
            return
        fi
    done
    die "no free port on $1 from $2 on."
}

# kept NAME COMMAND...: a value made once and remembered in .berth/NAME, readable by the caller only.
kept() {
    local file=$STATE/$1
    shift
    if [ ! -s "$file" ]; then
        "$@" | put "$file" 0600
    fi
    cat "$file"
}

# alive PID: whether a process runs. One that has ended and that nobody asked about yet does not.
alive() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) && [ -n "$state" ] && [ "${state:0:1}" != Z ]
}

# ended PID SECONDS: waits until a process is gone.
ended() {
    local tenth
    for ((tenth = 0; tenth < $2 * 10; tenth++)); do
        alive "$1" || return 0
        sleep 0.1
    done
    return 1
}
