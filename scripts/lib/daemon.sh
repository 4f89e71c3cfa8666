# shellcheck shell=bash
# shellcheck disable=SC2034 # those who source this use what it sets
# Where machines come from in development: the computer's own Incus or LXD if one
# answers, else a private one of this checkout in .berth/incus or .berth/lxd.
#
# daemon_start   starts it if need be and makes bridge and pool; afterwards DAEMON_SOCKET,
#                DAEMON_NETWORK, DAEMON_POOL, DAEMON_ADDRESS (of this computer on the
#                bridge) and DAEMON_KIND (system or private) are set
# daemon_stop    stops a private one, with all its machines
# daemon_api METHOD PATH [JSON]   its REST interface, the same for both

DAEMON_POOL=berth
# What to run again as root when a right is new; set by programs that may be.
RESTART=()
# At most 15 characters, and another one in every checkout.
DAEMON_NETWORK=bth$CHECKOUT_ID

# daemon_api METHOD PATH [JSON]: prints the metadata of the answer, having waited for what it started.
daemon_api() {
    local answer
    answer=$(root curl -sS --unix-socket "$DAEMON_SOCKET" -X "$1" ${3+-H 'content-type: application/json' --data-binary "$3"} "http://daemon$2") || return 1
    daemon_settled "$answer"
}

daemon_settled() {
    local answer=$1 operation
    if [ "$(jq -r .type <<<"$answer")" = async ]; then
        operation=$(jq -r '.operation | split("?")[0]' <<<"$answer")
        answer=$(root curl -sS --unix-socket "$DAEMON_SOCKET" "http://daemon$operation/wait?timeout=600") || return 1
        if [ "$(jq -r '.metadata.status_code' <<<"$answer")" != 200 ]; then
            jq -r '.metadata.err // .error' <<<"$answer" >&2
            return 1
        fi
    elif [ "$(jq -r .type <<<"$answer")" = error ]; then
        jq -r .error <<<"$answer" >&2
        return 1
    fi
    jq -c .metadata <<<"$answer"
}

daemon_answers() {
    [ -S "$1" ] && root curl -sS -m 5 --unix-socket "$1" http://daemon/1.0 2>/dev/null | jq -e '.metadata.auth == "trusted"' >/dev/null 2>&1
}

# Sets DAEMON_SOCKET when the computer's own daemon answers.
daemon_system() {
    local socket
    for socket in /var/lib/incus/unix.socket /run/incus/unix.socket /var/lib/lxd/unix.socket /var/snap/lxd/common/lxd/unix.socket; do
        if daemon_answers "$socket"; then
            DAEMON_SOCKET=$socket
            return 0
        fi
    done
    return 1
}

# Which program a private daemon is; sets DAEMON_PROGRAM, DAEMON_VARIABLE, DAEMON_LINK, DAEMON_DIR.
daemon_private() {
    local elsewhere candidate
    DAEMON_PROGRAM=''
    # What made the state goes on with it.
    if [ ! -e "$STATE/lxd" ]; then
        for candidate in "$(command -v incusd || true)" /usr/libexec/incus/incusd /usr/lib/incus/incusd; do
            [ -z "$DAEMON_PROGRAM" ] && [ -n "$candidate" ] && [ -x "$candidate" ] && DAEMON_PROGRAM=$candidate
        done
    fi
    if [ -n "$DAEMON_PROGRAM" ]; then
        DAEMON_VARIABLE=INCUS_DIR
        DAEMON_LINK=$STATE/incus
    else
        DAEMON_PROGRAM=$(command -v lxd || true)
        DAEMON_VARIABLE=LXD_DIR
        DAEMON_LINK=$STATE/lxd
    fi
    [ -n "$DAEMON_PROGRAM" ] || return 1
    if [ ! -e "$DAEMON_LINK" ]; then
        rm -f "$DAEMON_LINK"
        # It opens sockets below its folder, whose paths must stay short; and the machines' users, whom this
        # computer does not know, must get there.
        if [ "${#DAEMON_LINK}" -le 60 ] && as nobody test -x "$STATE"; then
            root install -d -m 0711 "$DAEMON_LINK"
        else
            elsewhere=/var/lib/berth-dev/$CHECKOUT_ID/$(basename "$DAEMON_LINK")
            root install -d -m 0755 /var/lib/berth-dev "/var/lib/berth-dev/$CHECKOUT_ID"
            root install -d -m 0711 "$elsewhere"
            ln -sfn "$elsewhere" "$DAEMON_LINK"
        fi
    fi
    DAEMON_DIR=$(readlink -f "$DAEMON_LINK")
    DAEMON_SOCKET=$DAEMON_DIR/unix.socket
}

# daemon_pid: the private daemon's, if it runs. A pid file may lie, so the process is asked what it is.
daemon_pid() {
    local pid
    pid=$(cat "$STATE/daemon.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && root cat "/proc/$pid/environ" 2>/dev/null | tr '\0' '\n' | grep -qxF "$DAEMON_VARIABLE=$DAEMON_DIR" || return 1
    printf '%s\n' "$pid"
}

# Processes that serve our bridge and outlived their daemon.
daemon_dnsmasq() {
    local file
    for file in /proc/[0-9]*/cmdline; do
        if root cat "$file" 2>/dev/null | tr '\0' '\n' | grep -qxF -- "--interface=$DAEMON_NETWORK"; then
            file=${file#/proc/}
            printf '%s\n' "${file%/cmdline}"
        fi
    done
}

# Monitors of containers that live in our folder.
daemon_monitors() {
    local file
    for file in /proc/[0-9]*/cmdline; do
        if root cat "$file" 2>/dev/null | tr '\0' ' ' | grep -qE "^\[lxc monitor\] $DAEMON_DIR/containers "; then
            file=${file#/proc/}
            printf '%s\n' "${file%/cmdline}"
        fi
    done
}

# The bridge, and the ends of cables that containers left in it while no daemon was there to see them stop.
daemon_unbridge() {
    local link
    ip link show "$DAEMON_NETWORK" >/dev/null 2>&1 || return 0
    ip -o link show master "$DAEMON_NETWORK" | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | while read -r link; do
        root ip link delete "$link" 2>/dev/null || true
    done
    root ip link delete "$DAEMON_NETWORK" 2>/dev/null || true
}

# A daemon that was killed is taken up again as it is: it adopts its bridge, its pool and its running
# containers. Only where its database is gone (somebody removed .berth) is what it left cleared away.
daemon_clear() {
    local pid inside device
    [ -e "$DAEMON_DIR/database" ] && return 0
    for pid in $(daemon_monitors); do
        # Its child is the container's first process; with it the whole container ends.
        for inside in $(pgrep -P "$pid"); do root kill -9 "$inside" 2>/dev/null || true; done
        ended "$pid" 10 || root kill -9 "$pid" 2>/dev/null || true
    done
    for pid in $(daemon_dnsmasq); do root kill "$pid" 2>/dev/null || true; done
    daemon_unbridge
    { grep -oE " $DAEMON_DIR/[^ ]+" /proc/mounts || true; } | sort -r | while read -r device; do root umount -l "$device" 2>/dev/null || true; done
    { losetup -ln -O NAME,BACK-FILE 2>/dev/null || true; } | awk -v below="$DAEMON_DIR/" 'index($2, below) == 1 { print $1 }' |
        while read -r device; do root losetup -d "$device" 2>/dev/null || true; done
    root find "$DAEMON_DIR" -mindepth 1 -xdev -delete
}

daemon_launch() {
    local log=$STATE/daemon.log group=$CALLER_GROUP
    : | root tee "$log" >/dev/null
    # Its own session: Ctrl-C in this terminal is not meant for it. It speaks only of trouble. Nor may
    # it keep the locks of our scripts (8 and 9).
    # shellcheck disable=SC2016 # the inner shell expands them
    root env "$DAEMON_VARIABLE=$DAEMON_DIR" setsid --fork sh -c 'echo $$ >"$1"; exec "$2" --group "$3" >>"$4" 2>&1 </dev/null 8>&- 9>&-' \
        sh "$STATE/daemon.pid" "$DAEMON_PROGRAM" "$group" "$log"
    root env "$DAEMON_VARIABLE=$DAEMON_DIR" "$DAEMON_PROGRAM" waitready --timeout 90 && daemon_answers "$DAEMON_SOCKET"
}

# A /24 of the private range that this computer does not use, the same one again where possible.
daemon_subnet() {
    local try second third
    for ((try = 0; try < 50; try++)); do
        second=$((16#${CHECKOUT_ID:0:2} % 100 + 100))
        third=$(((16#${CHECKOUT_ID:2:4} + try) % 250 + 1))
        if ! ip -4 route show 2>/dev/null | grep -qE "(^| )10\.$second\.$third\." &&
            ! ip -4 addr show 2>/dev/null | grep -qE " 10\.$second\.$third\."; then
            printf '10.%s.%s.1/24\n' "$second" "$third"
            return
        fi
    done
    die "no free 10.x.y.0/24 for the machines' bridge."
}

daemon_network() {
    local config subnet
    if ! config=$(daemon_api GET "/1.0/networks/$DAEMON_NETWORK" 2>/dev/null) || [ "$(jq -r .managed <<<"$config")" != true ]; then
        subnet=$(daemon_subnet)
        daemon_api POST /1.0/networks "$(jq -nc --arg name "$DAEMON_NETWORK" --arg subnet "$subnet" \
            '{name: $name, type: "bridge", description: "Berth machines", config: {"ipv4.address": $subnet, "ipv4.nat": "true", "ipv6.address": "none", "dns.mode": "none"}}')" >/dev/null ||
            die "the bridge $DAEMON_NETWORK could not be made; the line above says why."
        config=$(daemon_api GET "/1.0/networks/$DAEMON_NETWORK")
    fi
    DAEMON_ADDRESS=$(jq -r '.config["ipv4.address"] | split("/")[0]' <<<"$config")
}

daemon_pool() {
    local driver config error=''
    if daemon_api GET "/1.0/storage-pools/$DAEMON_POOL" >/dev/null 2>&1; then return 0; fi
    # btrfs copies a machine in less than a second, dir takes four.
    for driver in btrfs dir; do
        config='{}'
        if [ "$driver" = btrfs ]; then config='{"size": "50GiB"}'; fi
        if error=$(daemon_api POST /1.0/storage-pools "$(jq -nc --arg name "$DAEMON_POOL" --arg driver "$driver" --argjson config "$config" \
            '{name: $name, driver: $driver, description: "Berth machines", config: $config}')" 2>&1); then
            [ "$driver" = btrfs ] || say "Note: no btrfs here, so every machine is a full copy: slower and larger."
            return 0
        fi
    done
    die "the storage pool could not be made: $error"
}

daemon_start() {
    state_dir
    if ! have jq || ! have curl; then die "jq or curl is missing. Run scripts/dev, which installs them."; fi
    if daemon_system; then
        DAEMON_KIND=system
    else
        DAEMON_KIND=private
        daemon_private || die "neither Incus nor LXD is installed. Install the package incus (Debian 12: lxd), then run this again."
        if ! daemon_pid >/dev/null || ! daemon_answers "$DAEMON_SOCKET"; then
            daemon_clear
            step "starting $(basename "$DAEMON_PROGRAM") for the machines" daemon_launch || {
                tail -n 15 "$STATE/daemon.log" >&2
                die "it did not start; its last lines are above, all of them in .berth/daemon.log."
            }
        fi
    fi
    daemon_pool
    daemon_network
    daemon_right
}

# Berth runs as the caller and speaks to the daemon itself, so the caller needs its group.
daemon_right() {
    local group
    caller test -w "$DAEMON_SOCKET" && return 0
    group=$(root stat -c %G "$DAEMON_SOCKET")
    case "$group" in
        incus-admin | lxd) ;;
        *) die "$CALLER may not use $DAEMON_SOCKET, which belongs to the group $group. Add $CALLER to it and run this again." ;;
    esac
    if ! id -nG "$CALLER" | tr ' ' '\n' | grep -qx "$group"; then
        say "Adding $CALLER to the group $group, whose members may use this computer's containers."
        root usermod -aG "$group" "$CALLER"
    fi
    # A group counts from the next sign-in on. Started anew by root, this script runs Berth with it now.
    if [ "$(id -u)" -ne 0 ] && [ "${#RESTART[@]}" -gt 0 ]; then
        exec sudo -- "${RESTART[@]}" 8>&- 9>&-
    fi
    caller test -w "$DAEMON_SOCKET" || die "$CALLER may not use $DAEMON_SOCKET yet. Sign in anew, then run this again."
}

# How many machines run in it.
daemon_machines() {
    daemon_api GET '/1.0/instances?recursion=1' 2>/dev/null | jq '[.[] | select(.status == "Running")] | length' 2>/dev/null || echo 0
}

daemon_shutdown() {
    root env "$DAEMON_VARIABLE=$DAEMON_DIR" "$DAEMON_PROGRAM" shutdown --timeout 120 && ended "$1" 30
}

# Machines are stopped with it; it starts them again when it is started again.
daemon_stop() {
    local pid
    daemon_private 2>/dev/null || return 0
    if pid=$(daemon_pid); then
        step "stopping the machines and their daemon" daemon_shutdown "$pid" || {
            say "It did not stop by itself; ending it (process $pid)."
            root kill -9 "$pid" 2>/dev/null || true
        }
    fi
    root rm -f "$STATE/daemon.pid"
    for pid in $(daemon_dnsmasq); do root kill "$pid" 2>/dev/null || true; done
    daemon_unbridge
}
