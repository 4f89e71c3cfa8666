//! `kill -9` in the middle of an apply, at each of its steps.

use domain::protocol::{Ask, Reply};
use guest::in_force::digest;

use crate::{
    fake_gateway::Hold,
    world::{World, key, token, wanted},
};

const POINTS: [Hold; 3] = [Hold::AtGet, Hold::BeforeWriting, Hold::AfterWriting];

/// A machine that runs `old` and whose guest died while it applied `new`.
async fn died_at(point: Hold) -> World {
    let mut world = World::new().await;
    world.apply(1, "old").await.unwrap();
    world.gateway.inner().hold = Some(point);
    tokio::select! {
        done = world.apply(2, "new") => panic!("it was not held: {done:?}"),
        () = world.gateway.held.notified() => {}
    }
    world.kill_service().await;
    world
}

#[tokio::test]
async fn the_same_request_again_finishes_the_work() {
    for point in POINTS {
        let world = died_at(point).await;
        let done = world.apply(2, "new").await.unwrap();
        assert_eq!((done.applied, done.digest), (true, digest(&wanted("new"), None)), "{point:?}");
        assert_eq!(world.gateway.runs(), ("berth/new".into(), token("new"), key("new")), "{point:?}");
        assert_eq!(world.turn("hi").await.unwrap(), "you said hi");
    }
}

#[tokio::test]
async fn a_newer_request_takes_over() {
    for point in POINTS {
        let world = died_at(point).await;
        assert!(world.apply(3, "newer").await.unwrap().applied, "{point:?}");
        assert_eq!(world.gateway.runs(), ("berth/newer".into(), token("newer"), key("newer")), "{point:?}");
        assert!(world.apply(2, "new").await.is_err(), "the one that died is behind now");
    }
}

#[tokio::test]
async fn a_gateway_that_starts_in_between_starts_from_one_whole_configuration() {
    for point in POINTS {
        let world = died_at(point).await;
        world.restart_gateway();
        let Ok(Reply::Hello(hello)) = world.ask(Ask::Hello).await else { panic!("no hello") };
        assert_eq!(hello.fence, 1);
        assert_eq!(world.gateway.runs(), ("berth/old".into(), token("old"), key("old")), "{point:?}");
        assert!(world.apply(2, "new").await.unwrap().applied, "{point:?}");
    }
}

#[tokio::test]
async fn a_gateway_on_an_unknown_token_is_started_anew() {
    let world = World::new().await;
    world.apply(1, "old").await.unwrap();
    // As after a change that nobody here made: the gateway runs on a token that no bundle knows.
    std::fs::remove_file(world.paths.secrets.join("gateway_token")).unwrap();
    std::fs::write(world.paths.secrets.join("gateway_token"), "a-strangers-token").unwrap();
    world.gateway.inner().reload();
    let refused = world.apply(2, "new").await.unwrap_err();
    assert!(refused.to_string().contains("started anew"), "{refused}");
    assert!(world.apply(2, "new").await.unwrap().applied);
}
