-- Why: an operator takes a tenant or a person out of service at once, and back. Whoever is concerned reads why.
-- Lock: short, exclusive, on tenants and users. Running versions: go on serving them until they are replaced.
-- The triggers tenants_changed and users_changed tell every process.

alter table tenants
    add column suspended_at   timestamptz,
    add column suspended_why  text,                                -- in words, for the tenant's people
    add constraint tenants_suspended_check check ((suspended_at is null) = (suspended_why is null));
grant update (suspended_at, suspended_why) on tenants to berth_system;

alter table users
    add column suspended_at   timestamptz,
    add column suspended_why  text,                                -- in words, for the person
    add constraint users_suspended_check check ((suspended_at is null) = (suspended_why is null));
grant update (suspended_at, suspended_why) on users to berth_system;
