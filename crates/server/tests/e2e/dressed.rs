//! One machine for which a vendor's hosts are this test: its own packet filter, its own gateway, another address.

use std::net::SocketAddr;

use domain::protocol::Ask;
use testkit::TlsIdentity;

use crate::guest::Guest;

/// An address on the public internet, as far as the machine and its gateway can tell. No packet leaves for it: each gets
/// the test's address after the machine's own filter has let it pass. (Address translation would come before that filter,
/// whatever its priority says.)
const ADDRESS: &str = "8.8.8.8";

/// Where the gateway looks for what else it may trust.
const TRUSTED: &str = "/etc/berth-test-authority.pem";

/// These hosts lead to the test, at this place, and what it shows of itself is trusted from the gateway's next start on.
/// That start is made here, with nothing connected yet.
pub(crate) async fn as_if(guest: &Guest, hosts: &[&str], at: SocketAddr, identity: &TlsIdentity) {
    let (names, authority, (ip, port)) = (hosts.join(" "), identity.authority(), (at.ip(), at.port()));
    let script = format!(
        "set -e
        echo '{ADDRESS} {names}' >> /etc/hosts
        cat > {TRUSTED} <<'END-OF-AUTHORITY'\n{authority}\nEND-OF-AUTHORITY
        mkdir -p /etc/systemd/system/openclaw.service.d
        printf '[Service]\\nEnvironment=NODE_EXTRA_CA_CERTS={TRUSTED}\\n' > /etc/systemd/system/openclaw.service.d/test.conf
        nft -f - <<'END-OF-RULES'
        table ip berth_test {{
            chain there {{
                type route hook output priority 100; policy accept;
                ip daddr {ADDRESS} tcp dport 443 ip daddr set {ip} tcp dport set {port}
            }}
            chain back {{
                type filter hook prerouting priority -300; policy accept;
                ip saddr {ip} tcp sport {port} ip saddr set {ADDRESS} tcp sport set 443
            }}
        }}
END-OF-RULES
        systemctl daemon-reload"
    );
    guest.inside(&script).await;
    // By the guest, so that it tells nobody of a gateway that is away.
    guest.ask(Ask::Restart).await.expect("the gateway is started anew");
    let ready = "curl -sS -m 2 -o /dev/null -w '%{http_code}' http://127.0.0.1:18789/readyz || true";
    guest.inside_until(ready, |status| status == "200").await;
}
