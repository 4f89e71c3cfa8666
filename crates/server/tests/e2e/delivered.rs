//! What is delivered to a real machine: where it lies and where it does not, and how tokens and keys are changed.

use std::time::Duration;

use domain::protocol::{Ask, Reply, SecretText};

use crate::{
    berth::Berth,
    guest::{FENCE, Guest, Wish, done_with},
    setting::say,
};

const FIRST: &str = "gateway-token-first-marker";
const SECOND: &str = "gateway-token-second-marker";
const VARIABLE: &str = "variable-value-marker $HOME `id` \"quoted\"";
const ANOTHER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// The part of it that a search without quoting finds.
const VARIABLE_WORD: &str = "variable-value-marker";

#[tokio::test]
#[ignore = "needs a daemon and an image: scripts/test e2e runs it"]
async fn what_is_delivered_lies_in_memory_only_and_is_gone_after_a_stop() {
    let (mut berth, api) = Berth::ready().await;
    let (guest, id) = Guest::of_new_agent(&berth, &api).await;
    let mut wish = Wish { fence: 1, gateway_token: FIRST.into(), ..Wish::default() };
    guest.apply(&wish).await;
    assert_eq!(guest.gateway_says(FIRST).await, "200");

    // The gateway's token is changed under the same document, without a restart.
    let process = guest.inside(PROCESS).await;
    wish.gateway_token = SECOND.into();
    guest.apply(&wish).await;
    assert_eq!((guest.gateway_says(SECOND).await, guest.gateway_says(FIRST).await), ("200".into(), "401".into()));
    assert_eq!(guest.inside(PROCESS).await, process, "without a restart");
    say("the gateway's token was changed");

    // Variables come with a start, and are where the agent's programs find them.
    wish.variables = vec![("API_KEY_OF_TEST", VARIABLE.into()), ("SECOND_ONE", "line one\nline two".into())];
    guest.apply(&wish).await;
    assert_ne!(guest.inside(PROCESS).await, process);
    let environment = guest.inside(&format!("tr '\\0' '\\n' < /proc/$({PROCESS})/environ")).await;
    let whole = format!("API_KEY_OF_TEST={VARIABLE}\n");
    assert!(environment.contains(&whole) && environment.contains("SECOND_ONE=line one\nline two\n"), "{environment}");
    let unit = guest.inside("systemctl show openclaw.service; systemctl cat openclaw.service").await;
    assert!(!unit.contains(VARIABLE_WORD), "{unit}");
    say("the variables are in force");

    nowhere_else(&guest, &[FIRST, SECOND]).await;
    assert_eq!(guest.inside(AS_AGENT).await.trim(), "", "the agent's user can do more than it should");

    // Another machine key: what is kept opens under it, now and after a restart of everything.
    let key = SecretText::new(ANOTHER_KEY.into());
    let Ok(Reply::Rekeyed(done)) = guest.ask(Ask::Rekey { fence: FENCE + wish.fence, key }).await else {
        panic!("not rekeyed")
    };
    assert_eq!(done.key, vault::MasterKey::parse(ANOTHER_KEY).unwrap().id().to_string());
    assert_eq!(guest.inside("stat -c '%u %a' /etc/berth/machine.key").await.trim(), "0 400");
    guest.inside("systemctl restart berth-guest.service openclaw.service").await;
    guest.apply(&wish).await;
    assert_eq!(guest.gateway_says(SECOND).await, "200");
    say("the machine key was changed");

    assert!(matches!(guest.ask(Ask::Stop).await, Ok(Reply::Ok)));
    let left = guest.inside("ls -A /run/openclaw /run/openclaw-variables 2>/dev/null; true").await;
    assert_eq!(left, "", "what was opened is gone");
    nowhere_else(&guest, &[FIRST, SECOND, VARIABLE_WORD]).await;
    done_with(&berth, &api, &id).await;
    berth.end().await;
}

/// Neither on the disk, nor in the journal, nor in anybody's arguments or environment.
async fn nowhere_else(guest: &Guest, values: &[&str]) {
    for value in values {
        // Put together on the machine, so that the search does not find itself.
        let (front, back) = value.split_at(value.len() / 2);
        let found = guest.inside(&SEARCH.replace("FRONT", front).replace("BACK", back)).await;
        assert_eq!(found.trim(), "", "{value} was found");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

const PROCESS: &str = "systemctl show --property=MainPID --value openclaw.service";

/// Prints a line for each place that holds the value.
const SEARCH: &str = r#"
front='FRONT'; value="$front"'BACK'
printf '%s' "$value" > /run/searched
for place in /etc /home /opt/openclaw/compiled /root /srv /tmp /var /usr/lib/berth /dev/shm; do
    grep -rlaF -f /run/searched "$place" 2>/dev/null
done
journalctl --no-pager --output=export | grep -aF -f /run/searched | cut -c1-200
for process in /proc/[0-9]*; do
    for file in cmdline environ; do
        if tr '\0' '\n' < "$process/$file" 2>/dev/null | grep -qF -f /run/searched; then
            echo "$process/$file $(tr '\0' ' ' < "$process/cmdline")"
        fi
    done
done
rm -f /run/searched
"#;

/// Says a line for each thing that should not have worked.
const AS_AGENT: &str = r#"
setpriv --reuid openclaw --regid openclaw --clear-groups bash -c '
for file in /run/openclaw-variables/variables /var/lib/berth/reach /run/berth-firewall /etc/berth/machine.key; do
    if cat "$file" >/dev/null 2>&1; then echo "reads $file"; fi
done
for folder in /run/openclaw-variables /run /var/lib/berth; do
    if touch "$folder/planted" 2>/dev/null; then echo "writes into $folder"; fi
done
guest=$(pgrep -o -f "berth-guest serve")
for file in environ mem maps; do
    if head -c1 "/proc/$guest/$file" >/dev/null 2>&1; then echo "reads the guest: $file"; fi
done
'
for unit in berth-guest openclaw; do
    process=$(systemctl show --property=MainPID --value $unit.service)
    if ! grep -q "^Max core file size *0 *0 " "/proc/$process/limits"; then echo "$unit may leave a core"; fi
done
"#;
