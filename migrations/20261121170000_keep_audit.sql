-- Why: who did what, when, in order, so that nobody can change it afterwards unseen. One chain a
-- tenant, and one of the house for what operators do. docs/AUDIT.md says what is hashed.
-- Lock: none held on existing tables, but for a moment on tenants. Running versions: write nothing here.

-- Where a chain ends. Its row is the lock: whoever appends holds it until the transaction ends.
create table audit_heads (
    tenant_id  uuid    not null primary key references tenants (id) on delete cascade,
    seq        bigint  not null,
    hash       bytea   not null check (length(hash) = 32)
);
select berth.make_tenant_table('audit_heads');
grant select, insert, update (seq, hash) on audit_heads to berth_tenant;

-- Nobody has the right to update or delete here. A tenant's events end with the tenant.
create table audit_events (
    tenant_id  uuid         not null references tenants (id) on delete cascade,
    seq        bigint       not null,
    at         timestamptz  not null,
    actor      text         not null,                        -- an id, never a name or an address
    via        text         not null,                        -- the session or token they showed
    act        text         not null,
    subject    text         not null,
    details    jsonb        not null,
    prior      bytea        not null check (length(prior) = 32),
    hash       bytea        not null check (length(hash) = 32),
    primary key (tenant_id, seq)
);
select berth.make_tenant_table('audit_events');
grant select, insert on audit_events to berth_tenant;

create table house_audit_heads (
    only_one  boolean  not null primary key default true check (only_one),
    seq       bigint   not null,
    hash      bytea    not null check (length(hash) = 32)
);
select berth.make_house_table('house_audit_heads');
grant select, insert, update (seq, hash) on house_audit_heads to berth_system;

create table house_audit_events (
    seq      bigint       not null primary key,
    at       timestamptz  not null,
    actor    text         not null,
    via      text         not null,
    act      text         not null,
    subject  text         not null,
    details  jsonb        not null,
    prior    bytea        not null check (length(prior) = 32),
    hash     bytea        not null check (length(hash) = 32)
);
select berth.make_house_table('house_audit_events');
grant select, insert on house_audit_events to berth_system;
