//! Work that the daemon does in the background, and for which one can wait.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

/// A daemon forgets an operation this long after its end.
const KEPT: Duration = Duration::from_secs(5);

/// How an operation ended: in its own words where it failed.
pub(super) type Ended = Result<(), String>;

/// One operation, as it is at this moment.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: Uuid,
    /// The instance that it is about.
    name: String,
    ended: watch::Receiver<Option<Ended>>,
}

impl Operation {
    pub(super) fn to_json(&self) -> Value {
        let (status, code, err) = match &*self.ended.borrow() {
            None => ("Running", 103, String::new()),
            Some(Ok(())) => ("Success", 200, String::new()),
            Some(Err(why)) => ("Failure", 400, why.clone()),
        };
        json!({
            "id": self.id, "class": "task", "status": status, "status_code": code, "err": err,
            "resources": {"instances": [format!("/1.0/instances/{}", self.name)]},
        })
    }

    /// Waits for its end, at most this long.
    pub(super) async fn wait(&mut self, longest: Duration) {
        let ended = self.ended.wait_for(Option::is_some);
        tokio::time::timeout(longest, ended).await.ok();
    }
}

/// All of them.
#[derive(Debug, Default, Clone)]
pub(super) struct Operations(Arc<Mutex<BTreeMap<Uuid, Operation>>>);

impl Operations {
    /// Begins one. It goes on to its end whether anybody waits or not.
    pub(super) fn begin(&self, name: &str, work: impl Future<Output = Ended> + Send + 'static) -> Operation {
        let (end, ended) = watch::channel(None);
        let id = Uuid::from_u128(crate::database::unique());
        let operation = Operation { id, name: name.to_owned(), ended };
        self.all().insert(id, operation.clone());
        let operations = self.clone();
        tokio::spawn(async move {
            let how = work.await;
            end.send_replace(Some(how));
            tokio::time::sleep(KEPT).await;
            operations.all().remove(&id);
        });
        operation
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Operation> {
        self.all().get(&id).cloned()
    }

    /// `GET /1.0/operations?recursion=1`.
    pub(super) fn listing(&self) -> Value {
        let all: Vec<Value> = self.all().values().map(Operation::to_json).collect();
        json!({"running": all})
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uuid, Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
