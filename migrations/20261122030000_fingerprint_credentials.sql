-- Why: operators tell a tenant's credentials apart, and one that was replaced from the one before, by a keyed hash
-- under the tenant's data key. They never see a part of a value.
-- Lock: exclusive on credentials for a moment, while its rows are checked. Running versions: replace a value and leave
-- the fingerprint of the one before; it names the version that it is of, so it is not shown for another one.

alter table credentials
    add column fingerprint          text    check (fingerprint ~ '^[0-9a-f]{12}$'),      -- null: set before this
    add column fingerprint_version  bigint,                                              -- of which version it is
    add constraint credentials_fingerprinted check ((fingerprint is null) = (fingerprint_version is null));
grant update (fingerprint, fingerprint_version) on credentials to berth_tenant;
