//! Whether what may run is what was paid for.

use chrono::{DateTime, Utc};

use super::{Check, FlowView, Violation, sleeps};
use crate::{
    entitlement::{Entitlement, Served},
    id::{AgentId, TenantId},
};

/// A tenant's payments: as they were acted upon, and as their facts are judged now.
#[derive(Debug)]
pub struct AccountView<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// What keeps them in view.
    pub flow: Option<&'a FlowView>,
    /// The judgement that was acted upon last.
    pub acted: Option<Entitlement>,
    /// The judgement now.
    pub judged: Entitlement,
    /// Whether agents of its rest because of payments.
    pub rests: bool,
    /// The tenant's agents that are wanted running.
    pub running: &'a [AgentId],
    /// The instant that is judged.
    pub now: DateTime<Utc>,
}

/// Everything about one tenant that pays, did or is let off.
#[must_use]
pub fn account(view: &AccountView<'_>) -> Vec<Violation> {
    let tenant = view.tenant;
    let Some(flow) = view.flow else {
        let what = format!("the payments of {tenant} are kept and no flow looks at them");
        return vec![Violation::new(Check::Unwatched, &[&tenant], what)];
    };
    let mut found = Vec::new();
    let Some(acted) = view.acted else { return found };
    if !sleeps(flow, view.now) {
        return found;
    }
    // Who never was served may have what ran before anybody paid here; of who was, something rests.
    let stops = |judged: &Entitlement| !judged.may_run() && (view.rests || !matches!(judged, Entitlement::Unpaid));
    if stops(&acted) && stops(&view.judged) && !view.running.is_empty() {
        let ids: Vec<&dyn std::fmt::Display> =
            std::iter::once(&tenant as _).chain(view.running.iter().map(|agent| agent as _)).collect();
        let what = format!("{tenant} is {} and wants {} agents running", acted.name(), view.running.len());
        found.push(Violation::new(Check::UnpaidRunning, &ids, what));
    }
    // Where billing was switched on or off, each tenant is looked at in its turn.
    let is_switched = is_free(&acted) != is_free(&view.judged);
    if acted.may_run() != view.judged.may_run() && !is_switched {
        let what = format!(
            "{tenant} is {}, was treated as {}, and rests until {}",
            view.judged.name(),
            acted.name(),
            flow.run_at
        );
        found.push(Violation::new(Check::Misjudged, &[&tenant, &flow.id], what));
    }
    found
}

const fn is_free(judged: &Entitlement) -> bool {
    matches!(judged, Entitlement::Served { by: Served::BillingOff })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{entitlement::Suspended, id::FlowId};

    const SUSPENDED: Entitlement = Entitlement::Suspended { why: Suspended::PastDue, since: DateTime::UNIX_EPOCH };
    const SERVED: Entitlement = Entitlement::Served { by: Served::Paid { renews: DateTime::UNIX_EPOCH } };
    const FREE: Entitlement = Entitlement::Served { by: Served::BillingOff };

    fn resting() -> FlowView {
        FlowView {
            id: FlowId::from_uuid(Uuid::from_u128(1)),
            kind: "billing".to_owned(),
            tenant: None,
            subject: Uuid::from_u128(2),
            step: json!({ "step": "rest" }),
            run_at: DateTime::UNIX_EPOCH + TimeDelta::hours(6),
            lease_until: None,
            has_token: false,
            deadline_at: None,
            removal_asked: false,
            signals: 0,
        }
    }

    fn found(flow: Option<&FlowView>, acted: Option<Entitlement>, judged: Entitlement, agents: u128) -> Vec<Check> {
        found_where(false, flow, acted, judged, agents)
    }

    fn found_where(
        rests: bool,
        flow: Option<&FlowView>,
        acted: Option<Entitlement>,
        judged: Entitlement,
        agents: u128,
    ) -> Vec<Check> {
        let running: Vec<AgentId> = (0..agents).map(|n| AgentId::from_uuid(Uuid::from_u128(n))).collect();
        let tenant = TenantId::from_uuid(Uuid::from_u128(2));
        let view = AccountView { tenant, flow, acted, judged, rests, running: &running, now: DateTime::UNIX_EPOCH };
        account(&view).into_iter().map(|violation| violation.check).collect()
    }

    #[test]
    fn what_runs_is_what_was_paid_for() {
        let flow = resting();
        let flow = Some(&flow);
        for fine in [(SERVED, SERVED, 3), (SUSPENDED, SUSPENDED, 0), (Entitlement::Unpaid, Entitlement::Unpaid, 3)] {
            assert_eq!(found(flow, Some(fine.0), fine.1, fine.2), [], "{fine:?}");
        }
        assert_eq!(found(flow, None, SUSPENDED, 3), [], "nobody has judged it yet");
        assert_eq!(found(flow, Some(SUSPENDED), SUSPENDED, 2), [Check::UnpaidRunning]);
        assert_eq!(found(None, Some(SERVED), SERVED, 1), [Check::Unwatched]);
        let unpaid = Entitlement::Unpaid;
        assert_eq!(found_where(true, flow, Some(unpaid), unpaid, 1), [Check::UnpaidRunning], "its gift has ended");
    }

    #[test]
    fn another_judgement_is_late_only_where_nobody_is_about_to_look() {
        let flow = resting();
        for (acted, judged) in [(SERVED, SUSPENDED), (SUSPENDED, SERVED), (SERVED, Entitlement::Unpaid)] {
            assert_eq!(found(Some(&flow), Some(acted), judged, 1), [Check::Misjudged], "{acted:?} {judged:?}");
        }
        assert_eq!(found(Some(&flow), Some(SERVED), FREE, 1), [], "both may run");
        assert_eq!(found(Some(&flow), Some(FREE), Entitlement::Unpaid, 1), [], "billing was switched on");
        let due = FlowView { run_at: DateTime::UNIX_EPOCH, ..resting() };
        let held = FlowView { lease_until: Some(DateTime::UNIX_EPOCH), ..resting() };
        for flow in [due, held] {
            assert_eq!(found(Some(&flow), Some(SERVED), SUSPENDED, 1), [], "{flow:?}");
            assert_eq!(found(Some(&flow), Some(SUSPENDED), SUSPENDED, 1), [], "{flow:?}");
        }
    }
}
