-- Why: one clock, one way to make a tenant table, one way to make a house table.
-- Lock: none held on existing tables. Running versions: none yet.
-- The roles are made by scripts/bootstrap-db: they belong to the cluster, not to one database.

create schema berth;
grant usage on schema berth to berth_tenant, berth_system, berth_readonly;
revoke all on schema public from public;
grant usage on schema public to berth_tenant, berth_system, berth_readonly;

-- Every lease, limit and date reads the time here. A test moves it with
-- `alter database … set berth.clock_skew = '1 hour'`.
create function berth.now() returns timestamptz
    language sql stable parallel safe
    set search_path = pg_catalog
as $$
    select statement_timestamp() + coalesce(nullif(current_setting('berth.clock_skew', true), ''), '0')::interval
$$;

-- A tenant table: rows of one tenant, seen and written by that tenant's transactions only.
-- An unset tenant gives no rows, an emptied setting raises: both fail closed.
create function berth.make_tenant_table(name text) returns void
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    execute format('alter table public.%I enable row level security', name);
    execute format('alter table public.%I force row level security', name);
    execute format(
        'create policy tenant_rows on public.%I to berth_tenant
             using (tenant_id = (select current_setting(''berth.tenant_id'', true)::uuid))
             with check (tenant_id = (select current_setting(''berth.tenant_id'', true)::uuid))', name);
    execute format('revoke all on public.%I from public', name);
end $$;

-- A house table: rows that cross tenants or have none, reached by Berth's own transactions only.
create function berth.make_house_table(name text) returns void
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    execute format('alter table public.%I enable row level security', name);
    execute format('alter table public.%I force row level security', name);
    execute format('create policy house_rows on public.%I to berth_system using (true) with check (true)', name);
    execute format('revoke all on public.%I from public', name);
end $$;

revoke execute on all functions in schema berth from public;
grant execute on function berth.now() to berth_tenant, berth_system, berth_readonly;

-- One row: which Berth this is. Written on everything that is made elsewhere.
create table installation (
    id          uuid        not null primary key,
    only_one    boolean     not null default true unique check (only_one),
    created_at  timestamptz not null default berth.now()
);
select berth.make_house_table('installation');
grant select, insert on installation to berth_system;
