//! Several fleets at work at once: most of the time is spent waiting for a dead process's lease.

use tokio::task::{JoinSet, LocalSet};

/// Runs this many side by side; the first that fails ends the test.
pub(crate) async fn lanes<F>(count: usize, lane: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let all = async {
        let mut set = JoinSet::new();
        for n in 0..count {
            set.spawn_local(lane(n));
        }
        let mut outputs = Vec::new();
        while let Some(output) = set.join_next().await {
            outputs.push(output.unwrap());
        }
        outputs
    };
    LocalSet::new().run_until(all).await
}
