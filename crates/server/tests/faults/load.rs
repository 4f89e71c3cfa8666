//! People at work: agents created, stopped, started, restarted, proved, talked to and deleted, without a pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Api,
    checked::{Promise, Wanted},
    dice::Dice,
};

/// How many people.
const PEOPLE: usize = 6;

/// The load, until it is ended.
pub(crate) struct Load {
    people: JoinSet<Vec<Promise>>,
    stop: CancellationToken,
    acts: Arc<AtomicUsize>,
}

/// One agent, or the place for one.
struct Place {
    id: Option<String>,
    wanted: Wanted,
}

impl Load {
    /// Creates so many agents and goes on with them.
    pub(crate) fn start(api: &Api, agents: usize, seed: u64) -> Self {
        let (stop, acts) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let mut people = JoinSet::new();
        for n in 0..PEOPLE {
            let person = Person {
                api: api.clone(),
                dice: Dice::new(seed.wrapping_mul(31).wrapping_add(u64::try_from(n).unwrap())),
                name: format!("person{n}"),
                names: 0,
                stop: stop.clone(),
                acts: Arc::clone(&acts),
                past: Vec::new(),
            };
            people.spawn(person.work(agents / PEOPLE + usize::from(n < agents % PEOPLE)));
        }
        Self { people, stop, acts }
    }

    /// Lets everybody end what they are asking for; what was promised, and how much was asked.
    pub(crate) async fn end(mut self) -> (Vec<Promise>, usize) {
        self.stop.cancel();
        let mut promises = Vec::new();
        while let Some(of_one) = self.people.join_next().await {
            promises.extend(of_one.unwrap());
        }
        (promises, self.acts.load(Ordering::Relaxed))
    }
}

struct Person {
    api: Api,
    dice: Dice,
    name: String,
    names: usize,
    stop: CancellationToken,
    acts: Arc<AtomicUsize>,
    /// Agents that were deleted.
    past: Vec<Promise>,
}

impl Person {
    async fn work(mut self, agents: usize) -> Vec<Promise> {
        let mut places: Vec<Place> = (0..agents).map(|_| Place { id: None, wanted: Wanted::Gone }).collect();
        for place in &mut places {
            self.create(place).await;
        }
        while !self.stop.is_cancelled() && !places.is_empty() {
            let which = self.dice.below(places.len());
            self.act(&mut places[which]).await;
            sleep(self.dice.ms(5, 120)).await;
        }
        let living = places.into_iter().filter_map(|place| Some(Promise { id: place.id?, wanted: place.wanted }));
        self.past.into_iter().chain(living).collect()
    }

    async fn create(&mut self, place: &mut Place) {
        self.names += 1;
        let name = format!("{}-{}", self.name, self.names);
        *place = Place { id: Some(self.api.create(&name).await), wanted: Wanted::Running };
        self.acts.fetch_add(1, Ordering::Relaxed);
    }

    async fn act(&mut self, place: &mut Place) {
        let Some(id) = place.id.clone() else { return self.create(place).await };
        self.acts.fetch_add(1, Ordering::Relaxed);
        match (place.wanted, self.dice.below(10)) {
            (Wanted::Running, 0..=2) => self.expect(&id, "proofs").await,
            (Wanted::Running, 3) => self.expect(&id, "restart").await,
            (Wanted::Running, 4) => self.talk(&id).await,
            // Most agents are let come up before more is asked of them.
            (Wanted::Running, 5 | 6) => drop(self.api.seen(&id, "live", Duration::from_secs(3)).await),
            (Wanted::Running, 7 | 8) => {
                self.expect(&id, "stop").await;
                place.wanted = Wanted::Stopped;
            }
            (Wanted::Stopped, 0..=8) => {
                self.expect(&id, "start").await;
                place.wanted = Wanted::Running;
            }
            _ => {
                self.api.delete(&id).await;
                self.past.push(Promise { id, wanted: Wanted::Gone });
                place.id = None;
            }
        }
    }

    async fn expect(&self, id: &str, what: &str) {
        let status = self.api.post(id, what).await;
        assert_eq!(status, 202, "{what} of {id}");
    }

    /// Asks the agent something once; words are said at most once, so whatever comes of it is right.
    async fn talk(&self, id: &str) {
        self.api
            .once(Method::POST, &format!("/api/v1/agents/{id}/turns"), Some(json!({"text": "hello"})), "")
            .await
            .ok();
    }
}
