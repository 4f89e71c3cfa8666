//! Certificates of destruction: what a tenant that left is told once the last of its machines is proved gone.
//!
//! Agents go by their own flows, which take their time. Until all of them are gone their names are kept with the
//! tenant's payments; then one letter and one event in its audit say what was destroyed and when.

use domain::{
    AgentId, Entropy, TenantId,
    audit::{Act, stamp},
    letter::{Backups, Certificate, Told},
};
use store::{StoreError, SystemTx, TenantTx, certificates::Removing};

use crate::{audit, letters};

/// Remembers agents whose removal begins in this transaction, and writes the certificate of those that are gone.
/// Returns whether some are still going.
///
/// # Errors
/// The database; the caller does not commit.
pub(crate) async fn follow(
    mut tx: TenantTx,
    entropy: &dyn Entropy,
    begun: &[AgentId],
) -> Result<(TenantTx, bool), StoreError> {
    let mut named = Vec::new();
    for agent in begun {
        if let Some(agent) = store::agents::by_id(&mut tx, *agent).await? {
            named.push(Removing { agent: agent.id, name: agent.name.to_string() });
        }
    }
    let tenant = tx.tenant();
    let mut house = tx.into_house().await?;
    let mut removing = store::certificates::removing(&mut house, tenant).await?;
    if named.is_empty() && removing.is_empty() {
        return Ok((house.into_tenant(tenant).await?, false));
    }
    named.retain(|one| !removing.contains(one));
    if !named.is_empty() {
        removing.extend(named);
        store::certificates::keep(&mut house, tenant, &removing).await?;
    }
    let mut tx = house.into_tenant(tenant).await?;
    if store::certificates::are_there(&mut tx, &removing).await? {
        return Ok((tx, true));
    }
    let mut house = tx.into_house().await?;
    let Some(agents) = store::certificates::destroyed(&mut house, tenant, &removing).await? else {
        return Ok((house.into_tenant(tenant).await?, true));
    };
    let certificate = Certificate { agents, backups: Backups::NoneKept };
    write(&mut house, entropy, tenant, &certificate).await?;
    store::certificates::keep(&mut house, tenant, &[]).await?;
    let mut tx = house.into_tenant(tenant).await?;
    record(&mut tx, &certificate).await?;
    Ok((tx, false))
}

async fn write(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    certificate: &Certificate,
) -> Result<(), StoreError> {
    // An agent is destroyed once, so the first one tells this certificate from every other.
    let Some(first) = certificate.agents.first() else { return Ok(()) };
    let cause = format!("removed:{}", first.agent);
    letters::tell(tx, entropy, tenant, &cause, &Told::Removed { certificate: certificate.clone() }).await.map(|_| ())
}

/// The same in the tenant's audit: ids and moments, no names.
async fn record(tx: &mut TenantTx, certificate: &Certificate) -> Result<(), StoreError> {
    let mut facts = vec![("backups".to_owned(), certificate.backups.said().to_owned())];
    for one in &certificate.agents {
        if one.machines.is_empty() {
            facts.push((one.agent.to_string(), "it never had a machine".to_owned()));
        }
        for machine in &one.machines {
            let said = format!("of {}, made {}, gone {}", one.agent, stamp(machine.made), stamp(machine.gone));
            facts.push((machine.id.to_string(), said));
        }
    }
    let details: Vec<(&str, &str)> = facts.iter().map(|(name, said)| (name.as_str(), said.as_str())).collect();
    let tenant = tx.tenant();
    audit::record_own(tx, Act::BillingDestroyed, &tenant, &details).await
}
