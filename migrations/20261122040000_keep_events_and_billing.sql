-- Why: what Stripe tells is kept before it is understood, and what Stripe says of each customer is kept beside its tenant.
-- Lock: none held on existing tables, but tenants for a moment. Running versions: know nothing of billing, and serve everybody.

-- Inbound webhooks, as they came. Nothing here is believed: whom an event is about is asked of its sender.
create table events (
    id           uuid         not null primary key,
    sender       text         not null check (sender in ('stripe')),
    name         text         not null check (length(name) <= 100),      -- the sender's own id: the same each time it is sent
    kind         text         not null check (length(kind) <= 100),      -- the sender's word, for people; may be unknown
    is_live      boolean      not null,                                  -- about real money
    body         bytea        not null check (octet_length(body) <= 1048576),
    received_at  timestamptz  not null default berth.now(),
    read_at      timestamptz,                                            -- null: not understood yet
    outcome      text         check (length(outcome) <= 300),            -- what came of it, in words
    tenant_id    uuid         references tenants (id) on delete set null,
    constraint events_name unique (sender, name),
    check ((read_at is null) = (outcome is null))
);
create index events_of_tenant on events (tenant_id, received_at desc);
create index events_received on events (received_at desc);
select berth.make_house_table('events');
grant select, insert, delete, update (read_at, outcome, tenant_id) on events to berth_system;

-- One row a tenant that pays, or is let off. Not the tenant's to write: it says what the tenant is entitled to.
create table billing (
    tenant_id            uuid         not null primary key references tenants (id) on delete cascade,
    customer             text         unique check (customer ~ '^cus_[A-Za-z0-9_]{1,96}$'),
    subscription         jsonb,                                          -- the one that matters, as Stripe had it last
    past_due_since       timestamptz,                                    -- payments fail since then, without one that succeeded
    disputed_since       timestamptz,
    is_complimentary     boolean      not null default false,
    complimentary_until  timestamptz,                                    -- null: for good
    asked_at             timestamptz,                                    -- when Stripe was asked for what stands here
    entitlement          jsonb,                                          -- as it was acted upon last
    entitled_at          timestamptz,
    rested               uuid[]       not null default '{}',             -- agents that were stopped because nobody paid
    created_at           timestamptz  not null default berth.now(),
    check (is_complimentary or complimentary_until is null),
    check ((entitlement is null) = (entitled_at is null))
);
select berth.make_house_table('billing');
grant select, insert, update (customer, subscription, past_due_since, disputed_since, is_complimentary,
                              complimentary_until, asked_at, entitlement, entitled_at, rested)
   on billing to berth_system;
