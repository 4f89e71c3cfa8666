# shellcheck shell=bash
# Debian and Ubuntu packages that a checkout needs. Installed before any server is
# started: an upgrade under a running Postgres breaks it until it is restarted.

# known PACKAGE: whether this distribution has it. A new computer may have no lists yet.
known() {
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ]; then package_lists; fi
    apt-cache show "$1" >/dev/null 2>&1
}

package_lists() {
    step "package lists" root apt-get update -q ||
        die "the package lists could not be fetched. Look at the network and at apt's sources, then run this again."
}

# The container daemon of this distribution: Incus where it has one, else LXD.
daemon_package() {
    if have incusd || [ -x /usr/libexec/incus/incusd ] || [ -x /usr/lib/incus/incusd ]; then
        echo incus
    elif have lxd; then
        echo lxd
    elif known incus; then
        echo incus
    else
        echo lxd
    fi
}

# absent PACKAGE...: those that are not installed.
absent() {
    local package
    for package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
    done
}

# install_packages PACKAGE...: installs what is missing, and says so only then.
install_packages() {
    local missing
    have apt-get || die "apt-get is missing. These scripts know Debian 12, Debian 13 and Ubuntu 24.04."
    mapfile -t missing < <(absent "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    case " ${missing[*]} " in
        *" postgresql "*)
            # We run a private cluster; the package need not start one of its own.
            root install -d /etc/postgresql-common/createcluster.d
            echo 'create_main_cluster = false' | root tee /etc/postgresql-common/createcluster.d/berth.conf >/dev/null
            ;;
    esac
    package_lists
    step "packages" root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" ||
        die "the packages could not be installed. The lines above say why; then run this again."
}

# Everything for a private Postgres.
postgres_packages() { printf '%s\n' postgresql postgresql-client; }

# Everything for machines: the daemon, its bridge and firewall, its storage.
machine_packages() {
    printf '%s\n' "$(daemon_package)" btrfs-progs curl dnsmasq-base iproute2 jq nftables procps uidmap
}

# Everything for building the machine image.
image_packages() {
    printf '%s\n' curl debian-archive-keyring debootstrap jq squashfs-tools
    # Node comes from the npm registry by its own client. Any client will do: the pinned
    # Node and npm do the rest.
    have npm || printf '%s\n' npm
}

# Everything for building Berth, but Rust.
build_packages() {
    have cc || printf '%s\n' build-essential
    have openssl || printf '%s\n' openssl
}

# find_cargo: sets CARGO.
find_cargo() {
    CARGO=$(command -v cargo || true)
    [ -n "$CARGO" ] || { [ -x "$CALLER_HOME/.cargo/bin/cargo" ] && CARGO=$CALLER_HOME/.cargo/bin/cargo; }
    [ -z "$CARGO" ] || return 0
    if known rustup; then
        install_packages rustup
        CARGO=$(command -v cargo || true)
    fi
    [ -n "$CARGO" ] || die "Rust is missing. Install rustup as its own pages say, then run this again; rust-toolchain.toml names the version."
}
