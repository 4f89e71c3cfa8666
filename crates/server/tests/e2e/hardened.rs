//! Machines looked at from inside: what is one's own, what listens, what the agent's user can reach.

use std::collections::BTreeMap;

use crate::machines::Machines;

/// So many machines, each with an identity of its own, each closed.
pub(crate) async fn each(machines: &Machines, count: usize) {
    let all = machines.list().await;
    assert_eq!(all.len(), count, "{all:?}");
    let mut owned: BTreeMap<String, String> = BTreeMap::new();
    for machine in &all {
        let name = machine.name.to_string();
        for line in machines.inside(&name, OWN).await.lines() {
            if let Some(other) = owned.insert(line.to_owned(), name.clone()) {
                panic!("{name} and {other} share {line}");
            }
        }
    }
    assert_eq!(owned.len(), count * 8, "eight things are a machine's own: {owned:#?}");
    let first = all[0].name.to_string();
    let neighbour = all[1].address.expect("a running machine has an address");
    closed(machines, &first).await;
    confined(machines, &first, &neighbour.to_string()).await;
}

/// What sshd does, whatever file says it; and nothing else can be reached from outside.
async fn closed(machines: &Machines, name: &str) {
    let said = machines.inside(name, "sshd -T -C user=berth,host=any,addr=192.0.2.1").await;
    for wanted in [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin no",
        "pubkeyauthentication yes",
        "authenticationmethods publickey",
        "authorizedkeysfile none",
        "maxauthtries 3",
        "x11forwarding no",
        "permittty no",
        "clientaliveinterval 30",
        "clientalivecountmax 1",
        "forcecommand /usr/bin/berth-guest shim",
    ] {
        assert!(said.lines().any(|line| line == wanted), "sshd does not say {wanted}:\n{said}");
    }
    let open = machines.inside(name, "ss -Hltn; ss -Hlun").await;
    let reachable = open
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter(|address| !["127.", "[::1]"].iter().any(|own| address.starts_with(own)) && !address.ends_with(":68"));
    let reachable: Vec<_> = reachable.collect();
    assert!(reachable.iter().all(|address| address.ends_with(":22")), "only SSH listens: {reachable:?}");
}

/// The agent's user reads no key, writes no program, speaks to no neighbour.
async fn confined(machines: &Machines, name: &str, neighbour: &str) {
    let tried = machines.inside(name, &AS_AGENT.replace("NEIGHBOUR", neighbour)).await;
    assert_eq!(tried.trim(), "", "the agent's user can do more than it should");
}

/// One line for each thing that is a machine's own.
const OWN: &str = r#"
set -e
echo "machine-id $(cat /etc/machine-id)"
echo "name $(hostname)"
echo "host-key $(cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub)"
echo "machine-key $(sha256sum < /etc/berth/machine.key)"
echo "guest $(sha256sum < /etc/berth/guest.json)"
echo "journal-key $(sha256sum < /home/openclaw/.openclaw/config-journal-fingerprint.key)"
cd /home/openclaw/.openclaw/state
node --no-warnings -e '
const state = new (require("node:sqlite").DatabaseSync)("openclaw.sqlite", { readOnly: true });
console.log("device", state.prepare("select device_id from device_identities").get().device_id);
console.log("revision-key", Buffer.from(state.prepare("select hmac_key from config_revision_keys").get().hmac_key).toString("hex"));
'
"#;

/// Says a line for each thing that should not have worked.
const AS_AGENT: &str = r#"
setpriv --reuid openclaw --regid openclaw --clear-groups bash -c '
for file in /etc/berth/machine.key /etc/berth/guest.json /etc/ssh/ssh_host_ed25519_key /etc/shadow; do
    if cat "$file" >/dev/null 2>&1; then echo "reads $file"; fi
done
for folder in /var/lib/berth /opt/openclaw /opt/openclaw/plugins /opt/openclaw/plugins/projects/* /usr/bin /etc /usr/lib/berth; do
    if touch "$folder/planted" 2>/dev/null; then echo "writes into $folder"; fi
done
for socket in /run/berth/guest.sock /var/run/docker.sock; do
    if [ -w "$socket" ]; then echo "may speak to $socket"; fi
done
for program in sudo su docker; do
    if command -v "$program" >/dev/null && "$program" -n true >/dev/null 2>&1; then echo "can use $program"; fi
done
for place in NEIGHBOUR/22 NEIGHBOUR/18789 169.254.169.254/80 192.0.2.1/443; do
    if timeout 2 bash -c "exec 3<>/dev/tcp/$place" 2>/dev/null; then echo "reaches $place"; fi
done
'
"#;
