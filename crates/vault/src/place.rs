//! Where a sealed value lives: what its ciphertext is bound to.

use domain::TenantId;
use uuid::Uuid;

use crate::envelope::{KeyId, VERSION};

/// Whose row a secret lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A row of this tenant.
    Tenant(TenantId),
    /// A row of the house: machines, the SSH authority.
    House,
}

/// Where a secret lives. Ciphertext moved to another place does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Whose row.
    pub owner: Owner,
    /// Table name.
    pub table: &'a str,
    /// Column name.
    pub column: &'a str,
    /// The row's id.
    pub row: Uuid,
}

impl Place<'_> {
    /// Where an owner's data key lives, wrapped.
    #[must_use]
    pub const fn of_data_key(owner: Owner, id: Uuid) -> Self {
        Self { owner, table: "data_keys", column: "wrapped", row: id }
    }

    /// `"berth" version key owner table-length table column-length column row`, lengths as one byte each.
    pub(crate) fn associated_data(&self, key: KeyId) -> Vec<u8> {
        let owner = match self.owner {
            Owner::Tenant(tenant) => tenant.uuid(),
            Owner::House => Uuid::nil(),
        };
        let mut data = b"berth".to_vec();
        data.push(VERSION);
        data.extend_from_slice(&key.0);
        data.extend_from_slice(owner.as_bytes());
        for name in [self.table, self.column] {
            data.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            data.extend_from_slice(name.as_bytes());
        }
        data.extend_from_slice(self.row.as_bytes());
        data
    }
}
