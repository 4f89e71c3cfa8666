-- Why: where what was known of payments differed from what stands at Stripe, an operator wants to see it.
-- Lock: none. Running versions: do not look for differences.

create table billing_differences (
    id         uuid         not null primary key,
    at         timestamptz  not null default berth.now(),
    tenant_id  uuid         references tenants (id) on delete cascade,       -- null: an event, whose tenant its own row names
    what       text         not null check (what in ('event', 'account')),
    before     text         check (length(before) <= 300),                  -- as it was here; null: it was not here at all
    after      text         not null check (length(after) <= 300)           -- as it stands at Stripe
);
create index billing_differences_at on billing_differences (at desc, id desc);
select berth.make_house_table('billing_differences');
grant select, insert, delete on billing_differences to berth_system;

-- Retention looks for what is old.
create index events_understood on events (read_at) where read_at is not null;
create index checkouts_asked on checkouts (asked_at);
