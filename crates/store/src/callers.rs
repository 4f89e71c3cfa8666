//! Who is calling, as one row: whatever they showed, their membership is read as it is now.

use domain::{
    TenantId, UserId,
    names::Email,
    people::{Caller, Role, Shown, Suspended},
    scopes::Scopes,
};
use uuid::Uuid;

use crate::error::{StoreError, read};

/// A user in one of their tenants.
pub(crate) struct CallerRow {
    pub(crate) user_id: Uuid,
    pub(crate) email: String,
    pub(crate) is_operator: bool,
    pub(crate) tenant_id: Uuid,
    pub(crate) tenant_name: String,
    pub(crate) role: String,
    /// Why, if they are.
    pub(crate) user_suspended: Option<String>,
    pub(crate) tenant_suspended: Option<String>,
    /// What its tenant may expect, as judged last.
    pub(crate) entitlement: Option<serde_json::Value>,
}

/// Reads the row.
pub(crate) fn read_caller(row: CallerRow, shown: Shown) -> Result<Caller, StoreError> {
    let email = Email::parse(&row.email).map_err(|error| StoreError::corrupt("users", "email", error))?;
    let role = Role::parse(&row.role).ok_or_else(|| StoreError::corrupt("members", "role", "no such role"))?;
    Ok(Caller {
        user: UserId::from_uuid(row.user_id),
        email,
        tenant: TenantId::from_uuid(row.tenant_id),
        tenant_name: row.tenant_name,
        role,
        is_operator: row.is_operator,
        shown,
        scopes: Scopes::ALL,
        suspended: row.user_suspended.map(Suspended::User).or(row.tenant_suspended.map(Suspended::Tenant)),
        entitlement: row.entitlement.map(|value| read("billing", "entitlement", value)).transpose()?,
    })
}
