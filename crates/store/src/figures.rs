//! Counts of the house's rows, for whoever watches the service from outside.

use crate::{db::SystemTx, error::StoreError};

/// A count and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Such as the kind of a flow.
    pub kind: String,
    /// Such as its step.
    pub state: String,
    /// How many.
    pub count: i64,
}

/// What is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Flows by kind and step.
    pub flows: Vec<Count>,
    /// Living machines by state and last seen health.
    pub machines: Vec<Count>,
    /// Spares by state (the kind is empty).
    pub spares: Vec<Count>,
    /// Open alerts by kind (the state is empty).
    pub alerts: Vec<Count>,
    /// Flows that are due and that nobody holds.
    pub due: i64,
    /// How long the oldest of them has waited, in seconds.
    pub waited_seconds: f64,
}

/// Reads all of it, in two statements that each read a table once.
pub async fn read(tx: &mut SystemTx) -> Result<Figures, StoreError> {
    let rows = sqlx::query!(
        r#"select 'flows' as "what!", kind as "kind!", coalesce(step ->> 'step', '') as "state!", count(*) as "count!"
           from flows group by 2, 3
           union all
           select 'machines', state, health, count(*) from machines where gone_at is null group by 2, 3
           union all
           select 'spares', '', state, count(*) from spares group by 3
           union all
           select 'alerts', kind, '', count(*) from alerts where closed_at is null group by 2"#
    )
    .fetch_all(tx.conn())
    .await?;
    let lag = sqlx::query!(
        r#"select count(*) as "due!",
                  coalesce(extract(epoch from berth.now() - min(run_at)), 0)::float8 as "waited!"
           from flows where run_at <= berth.now() and (lease_until is null or lease_until < berth.now())"#
    )
    .fetch_one(tx.conn())
    .await?;
    let of = |what: &str| {
        let rows = rows.iter().filter(|row| row.what == what);
        rows.map(|row| Count { kind: row.kind.clone(), state: row.state.clone(), count: row.count }).collect()
    };
    Ok(Figures {
        flows: of("flows"),
        machines: of("machines"),
        spares: of("spares"),
        alerts: of("alerts"),
        due: lag.due,
        waited_seconds: lag.waited,
    })
}
