//! The contract of `Provider`, in one walk that every provider has to pass.

use std::time::Duration;

use clients::{
    fake::{FakeProvider, Strike, Verb},
    provider::{Limits, Provider, ProviderError},
};

use crate::{fresh_machine, plan};

/// One machine's life, each verb called twice. Leaves nothing behind.
pub async fn a_life(provider: &dyn Provider, image: &str) {
    let plan = plan(fresh_machine(), image);
    let name = &plan.name;

    assert_eq!(provider.look(name).await.unwrap(), None);
    provider.remove(name).await.unwrap();
    assert!(matches!(provider.start(name).await, Err(ProviderError::Refused { .. })), "nothing to start");
    assert!(matches!(provider.stop(name, Duration::ZERO).await, Err(ProviderError::Refused { .. })), "nothing to stop");

    let larger = Limits { cpus: plan.limits.cpus * 2, memory_bytes: plan.limits.memory_bytes * 2, ..plan.limits };
    let refused = provider.resize(name, &larger).await;
    assert!(matches!(refused, Err(ProviderError::Refused { .. })), "nothing to make larger: {refused:?}");

    let first = provider.ensure(&plan).await.unwrap();
    assert!(first.running);
    assert_eq!((&first.name, first.machine), (name, Some(plan.machine)));
    assert_eq!(first.image.as_deref(), Some(image));
    let address = first.address.unwrap();
    assert_ne!(address, provider.home_address().await.unwrap());
    assert_eq!(provider.ensure(&plan).await.unwrap(), first, "a second call makes nothing");
    assert_eq!(provider.look(name).await.unwrap(), Some(first.clone()));
    assert!(provider.list().await.unwrap().contains(&first));

    provider.start(name).await.unwrap();
    for limits in [&larger, &larger, &plan.limits] {
        provider.resize(name, limits).await.unwrap();
        assert_eq!(provider.look(name).await.unwrap(), Some(first.clone()), "it runs on, and nothing else changed");
    }
    for _ in 0..2 {
        provider.stop(name, Duration::from_secs(30)).await.unwrap();
        let stopped = provider.look(name).await.unwrap().unwrap();
        assert!(!stopped.running);
        assert_eq!(stopped.address, Some(address), "the address stays while it is stopped");
        provider.resize(name, &larger).await.unwrap();
    }
    for _ in 0..2 {
        provider.start(name).await.unwrap();
        assert!(provider.look(name).await.unwrap().unwrap().running);
    }
    provider.stop(name, Duration::ZERO).await.unwrap();
    assert!(provider.ensure(&plan).await.unwrap().running, "ensure starts what is stopped");

    for _ in 0..2 {
        provider.remove(name).await.unwrap();
        assert_eq!(provider.look(name).await.unwrap(), None);
    }
    assert!(provider.list().await.unwrap().iter().all(|sighting| sighting.name != *name));
}

#[tokio::test]
async fn the_fake_keeps_the_promises() {
    a_life(&FakeProvider::default(), "machine-1").await;
}

#[tokio::test]
async fn a_failure_strikes_before_or_after_the_effect() {
    let fake = FakeProvider::default();
    let plan = plan(fresh_machine(), "machine-1");
    let down = ProviderError::Unavailable { why: "test".into() };

    fake.fail_next(Verb::Ensure, Strike::Before, 2, &down);
    for _ in 0..2 {
        assert_eq!(fake.ensure(&plan).await, Err(down.clone()));
        assert_eq!(fake.made(), 0);
    }
    fake.fail_next(Verb::Ensure, Strike::After, 1, &down);
    assert_eq!(fake.ensure(&plan).await, Err(down));
    assert_eq!(fake.made(), 1);

    let sighting = fake.ensure(&plan).await.unwrap();
    assert_eq!((fake.made(), fake.boots()), (1, 1), "adopted, not made again");
    assert_eq!(fake.count(Verb::Ensure), 4);
    assert_eq!(fake.file(&sighting.name, "/etc/berth-mark").unwrap().mode, 0o640);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let fake = FakeProvider::default();
    fake.set_images(&["machine-2"]);
    let missing = fake.ensure(&plan(fresh_machine(), "machine-1")).await;
    assert_eq!(missing, Err(ProviderError::ImageMissing { alias: "machine-1".into() }));
}
