-- Every line this returns is a fault. An empty answer is a pass.
-- A table of ours is a tenant table (its one policy binds berth_tenant to its tenant) or a house
-- table (its one policy lets berth_system in); there is no third kind.
with tables as (
    select c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relowner
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
), policies as (
    select t.oid, t.relname, p.polname, p.polcmd, p.polpermissive, p.polroles,
           pg_get_expr(p.polqual, p.polrelid) as using_text,
           pg_get_expr(p.polwithcheck, p.polrelid) as check_text
    from tables t join pg_policy p on p.polrelid = t.oid
), tenant_tables as (
    select t.* from tables t where exists (select from policies p where p.oid = t.oid and p.polname = 'tenant_rows')
)
select relname as what, 'row security is off' as fault from tables where not relrowsecurity
union all
select relname, 'row security is not forced' from tables where not relforcerowsecurity
union all
select relname, 'owned by somebody else than the migrator' from tables where relowner <> 'berth_migrator'::regrole
union all
select relname, 'has ' || (select count(*) from policies p where p.oid = tables.oid) || ' policies, not one' from tables
where (select count(*) from policies p where p.oid = tables.oid) <> 1
union all
select relname, 'a policy of another form: ' || polname from policies
where not (polcmd = '*' and polpermissive and (
    (polname = 'tenant_rows' and polroles = array['berth_tenant'::regrole::oid]
     and using_text = '(tenant_id = ( SELECT (current_setting(''berth.tenant_id''::text, true))::uuid AS current_setting))'
     and check_text = using_text)
    -- sqlx's own list of migrations: its owner's, who is bound by it too.
    or (relname = '_sqlx_migrations' and polname = 'migrator_rows' and polroles = array['berth_migrator'::regrole::oid])
    or (polname = 'house_rows' and polroles = array['berth_system'::regrole::oid] and using_text = 'true' and check_text = 'true')))
union all
select t.relname, 'the primary key does not begin with tenant_id' from tenant_tables t
where not exists (
    select from pg_index i join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
    where i.indrelid = t.oid and i.indisprimary and a.attname = 'tenant_id')
union all
select con.conrelid::regclass::text, 'foreign key without tenant_id: ' || con.conname
from pg_constraint con
where con.contype = 'f'
  and con.conrelid in (select oid from tenant_tables)
  and con.confrelid in (select oid from tenant_tables)
  and not exists (select from pg_attribute a
                  where a.attrelid = con.conrelid and a.attname = 'tenant_id' and a.attnum = any (con.conkey))
union all
select t.relname, 'unique across tenants: ' || i.indexrelid::regclass::text
from tenant_tables t join pg_index i on i.indrelid = t.oid and i.indisunique
where not exists (select from pg_attribute a
                  where a.attrelid = t.oid and a.attname = 'tenant_id' and a.attnum = any (i.indkey::smallint[]))
union all
select c.relname, 'view without security_invoker'
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
  and not coalesce(c.reloptions @> array['security_invoker=true'], false)
union all
-- TRUNCATE ignores row security: nobody but the owner may have it. Nor may anybody see the other half.
select t.relname, r.role || ' may ' || p.privilege
from tables t
cross join (values ('berth_tenant'), ('berth_system'), ('berth_login'), ('berth_readonly'), ('public')) as r (role)
cross join (values ('select'), ('insert'), ('update'), ('delete'), ('truncate'), ('references'), ('trigger')) as p (privilege)
where has_table_privilege(r.role, t.oid, p.privilege)
  and (r.role not in ('berth_tenant', 'berth_system')
       or p.privilege in ('truncate', 'references', 'trigger')
       or (r.role = 'berth_tenant') <> (t.oid in (select oid from tenant_tables)))
union all
-- One may: dropping a week of history is the owner's, with fixed text and no argument.
select p.proname, 'a function of ours is security definer'
from pg_proc p
where p.pronamespace in ('public'::regnamespace, 'berth'::regnamespace) and p.prosecdef
  and not (p.proname = 'keep_history' and p.pronargs = 0)
union all
select p.proname, 'a function of ours without a fixed search_path'
from pg_proc p
where p.pronamespace in ('public'::regnamespace, 'berth'::regnamespace)
  and not exists (select from unnest(p.proconfig) as setting where setting like 'search_path=%');
