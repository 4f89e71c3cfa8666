-- Why: the list of a tenant's agents is read most of all. By this function it takes one round trip instead of two,
-- and one statement instead of five.
-- Lock: none held on existing tables. Running versions: do not call it.

-- Enters the role and names the tenant as a transaction of the tenant does, for the one statement that calls it: both
-- lapse with it. Not a definer's: row security binds the query as anywhere else. Stable, so that it cannot write.
-- The login may call it, and so comes to nothing that `set role berth_tenant` does not give it. berth_tenant may not:
-- a transaction of one tenant does not become another's.
create function berth.agents_of(tenant uuid, after uuid, most bigint)
    returns table (id uuid, name text, wanted text, seen jsonb, machine jsonb, proof jsonb, created_at timestamptz)
    language plpgsql stable
    set search_path = pg_catalog
as $$
begin
    perform set_config('role', 'berth_tenant', true), set_config('berth.tenant_id', tenant::text, true);
    return query
        select a.id, a.name, a.wanted, a.seen, a.machine, a.proof, a.created_at
        from public.agents a
        where a.id > after
        order by a.id
        limit most;
end $$;
revoke execute on function berth.agents_of(uuid, uuid, bigint) from public;
grant usage on schema berth to berth_login;
grant execute on function berth.agents_of(uuid, uuid, bigint) to berth_login;
