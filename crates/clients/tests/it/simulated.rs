//! The simulated daemon is what the real client takes it for: the same promises, over the same socket calls.

use std::time::Duration;

use clients::{
    incus::{Incus, Settings},
    provider::{Provider as _, ProviderError},
};
use domain::{Id, machine::MachineName};
use tempfile::TempDir;
use testkit::sim::{Effect, How, Options, Simulator, Verb};

use crate::{fresh_machine, plan, promises, random_bytes};

async fn simulator() -> (TempDir, Simulator, Incus) {
    let folder = TempDir::new().unwrap();
    let simulator = Simulator::start(Options::below(folder.path())).await.unwrap();
    let client = Incus::new(Settings {
        socket: simulator.socket(),
        network: simulator.bridge().to_owned(),
        pool: simulator.pool().to_owned(),
        installation: Id::from_uuid(uuid::Builder::from_random_bytes(random_bytes()).into_uuid()),
    });
    (folder, simulator, client)
}

fn effects(simulator: &Simulator, name: &MachineName) -> Vec<Effect> {
    let of = |entry: testkit::sim::Entry| (entry.name == name.as_str()).then_some(entry.effect);
    simulator.ledger().into_iter().filter_map(of).collect()
}

#[tokio::test]
async fn the_simulator_keeps_the_promises() {
    let (_folder, simulator, client) = simulator().await;
    assert_eq!(client.survey().await.unwrap().home, simulator.home());
    promises::a_life(&client, &simulator.options().image).await;
    assert_eq!(simulator.machines(), []);
    let missing = client.ensure(&plan(fresh_machine(), "another")).await;
    assert_eq!(missing, Err(ProviderError::ImageMissing { alias: "another".into() }));
}

#[tokio::test]
async fn the_simulator_writes_down_what_was_done_and_nothing_else() {
    let (folder, simulator, client) = simulator().await;
    let plan = plan(fresh_machine(), &simulator.options().image);
    for _ in 0..2 {
        client.ensure(&plan).await.unwrap();
    }
    for _ in 0..2 {
        client.stop(&plan.name, Duration::ZERO).await.unwrap();
    }
    for _ in 0..2 {
        client.remove(&plan.name).await.unwrap();
    }
    let done = [Effect::Create, Effect::Start, Effect::Stop, Effect::Delete];
    assert_eq!(effects(&simulator, &plan.name), done);
    let written = std::fs::read_to_string(folder.path().join("ledger.jsonl")).unwrap();
    assert_eq!(written.lines().count(), done.len(), "{written}");
}

#[tokio::test]
async fn a_call_fails_before_its_effect_or_loses_its_answer_after_it() {
    let (_folder, simulator, client) = simulator().await;
    let plan = plan(fresh_machine(), &simulator.options().image);
    simulator.strike(Verb::Create, How::Refuse, 1);
    assert!(matches!(client.ensure(&plan).await, Err(ProviderError::Refused { .. })));
    simulator.strike(Verb::Create, How::Fail, 1);
    assert!(matches!(client.ensure(&plan).await, Err(ProviderError::Unavailable { .. })));
    assert_eq!(effects(&simulator, &plan.name), []);
    simulator.strike(Verb::Create, How::LoseAnswer, 1);
    assert!(matches!(client.ensure(&plan).await, Err(ProviderError::Unavailable { .. })));
    // Whoever asks again finds what was done.
    client.ensure(&plan).await.unwrap();
    assert_eq!(effects(&simulator, &plan.name), [Effect::Create, Effect::Start]);
}
