-- Why: what Stripe tells is kept before it is understood, and what Stripe says of each customer is kept beside its tenant.
-- Lock: short, exclusive, on installation. Running versions: know nothing of billing, and serve everybody.

-- Whether anybody pays. Written by each process as it starts, so that two of them cannot judge differently.
alter table installation add column is_billing boolean not null default false;
grant update (is_billing) on installation to berth_system;

-- What can be bought, and how much of it one gets. Operators edit it; a plan without a price is not sold.
create table plans (
    plan          text         not null primary key check (plan ~ '^[a-z][a-z0-9_]{0,39}$'),
    title         text         not null check (length(title) between 1 and 60),
    position      integer      not null unique,
    price_id      text         unique check (price_id ~ '^price_[A-Za-z0-9_]{1,94}$'),
    cents         integer      not null check (cents between 0 and 100000000),  -- a month, as pages say it; Stripe's price decides
    currency      text         not null check (currency ~ '^[a-z]{3}$'),
    trial_days    integer      not null check (trial_days between 0 and 90),
    agents_max    integer      not null check (agents_max between 1 and 1000),
    daily_micros  bigint       check (daily_micros >= 0),                      -- model calls a day, in millionths; null: the installation's
    changed_at    timestamptz  not null default berth.now()
);
-- Before row security is forced upon whoever runs this, too.
insert into plans (plan, title, position, cents, currency, trial_days, agents_max, daily_micros) values
    ('starter',      'Starter',               1, 1900, 'eur', 7,  1, null),
    ('pro',          'Pro',                   2, 4900, 'eur', 7,  3, null),
    ('power',        'Power',                 3, 9900, 'eur', 7, 10, null),
    ('starter_byok', 'Starter, own model key', 4,  900, 'eur', 7,  1, 0),
    ('pro_byok',     'Pro, own model key',     5, 2400, 'eur', 7,  3, 0),
    ('power_byok',   'Power, own model key',   6, 4900, 'eur', 7, 10, 0);
select berth.make_house_table('plans');
grant select, update (title, price_id, cents, currency, trial_days, agents_max, daily_micros, changed_at)
   on plans to berth_system;

-- Every price that ever bought a plan: who has an old one keeps it.
create table plan_prices (
    price_id  text         not null primary key check (price_id ~ '^price_[A-Za-z0-9_]{1,94}$'),
    plan      text         not null references plans (plan),
    since     timestamptz  not null default berth.now()
);
select berth.make_house_table('plan_prices');
grant select, insert on plan_prices to berth_system;

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
    gift_plan            text         references plans (plan),          -- served without paying, as on this plan
    gift_until           timestamptz,                                    -- null: for good
    asked_at             timestamptz,                                    -- when Stripe was asked for what stands here
    entitlement          jsonb,                                          -- as it was acted upon last
    entitled_at          timestamptz,
    rested               uuid[]       not null default '{}',             -- agents that were stopped because nobody paid
    created_at           timestamptz  not null default berth.now(),
    check (gift_plan is not null or gift_until is null),
    check ((entitlement is null) = (entitled_at is null))
);
select berth.make_house_table('billing');
grant select, insert, delete, update (customer, subscription, past_due_since, disputed_since, gift_plan, gift_until,
                                      asked_at, entitlement, entitled_at, rested)
   on billing to berth_system;

-- Who was sent to Stripe to pay. The row's id is the idempotency key: committed before Stripe is asked.
create table checkouts (
    id          uuid         not null primary key,
    tenant_id   uuid         not null references tenants (id) on delete cascade,
    plan        text         not null references plans (plan),
    price_id    text         not null references plan_prices (price_id),
    asked_by    uuid         references users (id) on delete set null,
    session     text         unique check (session ~ '^cs_[A-Za-z0-9_]{1,97}$'),
    expires_at  timestamptz,                                             -- as Stripe says; null until it was asked
    asked_at    timestamptz  not null default berth.now()
);
create index checkouts_of_tenant on checkouts (tenant_id, asked_at desc);
select berth.make_house_table('checkouts');
grant select, insert, delete, update (session, expires_at) on checkouts to berth_system;
