-- Why: a plan says how large an agent's machine is, and what one costs whoever runs Berth.
-- Lock: short, exclusive, on plans and machines. Running versions: leave every machine as large as they made it.

alter table plans
    add column cpus          integer check (cpus between 1 and 64),                  -- null: as the installation has it
    add column memory_mib    integer check (memory_mib between 2048 and 262144),     -- null: as the installation has it
    add column machine_cents integer check (machine_cents between 0 and 100000000);  -- a month, in the price's currency; null: not known
grant update (cpus, memory_mib, machine_cents) on plans to berth_system;

-- As large as it was made last; null: as the installation had it.
alter table machines
    add column cpus       integer check (cpus between 1 and 64),
    add column memory_mib integer check (memory_mib between 2048 and 262144);
grant update (cpus, memory_mib) on machines to berth_system;

-- The plan that a tenant is served as at a moment: the one that was given, else the one that its price ever bought.
create function berth.plan_of(of billing, at timestamptz) returns text
    language sql stable parallel safe
    set search_path = pg_catalog
as $$
    select case when of.gift_plan is not null and coalesce(of.gift_until > at, true) then of.gift_plan
                else (select bought.plan from public.plan_prices bought where bought.price_id = of.subscription ->> 'price') end
$$;
revoke all on function berth.plan_of(billing, timestamptz) from public;
grant execute on function berth.plan_of(billing, timestamptz) to berth_system;
