-- Attacks on every table that the catalogue names, tried by every role. Runs in a scratch database, as its superuser.
--
-- Each table gets two rows, one of tenant A and one of tenant B, made from the types of its columns. So that any
-- values will do, check and foreign key constraints are dropped first: what is tried here is grants and policies.
create schema attack;

create table attack.constants as
select '00000000-0000-4000-8000-00000000000a'::uuid as a, '00000000-0000-4000-8000-00000000000b'::uuid as b;

-- A literal of this type, different for each row.
create function attack.literal(wanted regtype, tenant_column boolean, tenant text, row_number integer) returns text
    language sql as $$
    select case
        when tenant_column then format('%L::uuid', (select case tenant when 'a' then a else b end from attack.constants))
        when wanted = 'uuid'::regtype then format('%L::uuid', '00000000-0000-4000-8000-' || lpad(row_number::text, 12, '0'))
        when wanted = 'boolean'::regtype then (row_number % 2 = 0)::text
        when wanted in ('timestamptz'::regtype, 'timestamp'::regtype) then format('now() + interval ''%s hours''', row_number)
        when wanted = 'date'::regtype then format('current_date + %s', row_number)
        when wanted = 'interval'::regtype then format('interval ''%s hours''', row_number)
        when wanted in ('json'::regtype, 'jsonb'::regtype) then format('%L::%s', json_build_object('row', row_number), wanted)
        when wanted = 'bytea'::regtype then format('%L::bytea', '\x0' || row_number)
        when wanted in ('inet'::regtype, 'cidr'::regtype) then format('%L::%s', '10.0.0.' || row_number, wanted)
        when wanted::text like '%[]' then format('%L::%s', '{}', wanted)
        else format('%L::%s', row_number::text, wanted)
    end
$$;

create view attack.columns as
select c.oid as relid, a.attname as name, a.atttypid::regtype as type, a.attnum as position,
       a.attname = 'tenant_id' as tenant_column
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a';

-- `insert` of one row of this tenant, into the columns that the role may write; all of them where it may write none.
create function attack.insertion(target regclass, role text, tenant text, row_number integer) returns text
    language sql as $$
    with writable as (
        select * from attack.columns c
        where c.relid = target
          and (has_column_privilege(role, target, c.name, 'insert')
               or not has_any_column_privilege(role, target, 'insert'))
    )
    select format('insert into public.%I (%s) values (%s)', (select relname from pg_class where oid = target), string_agg(quote_ident(name), ', ' order by position),
                  string_agg(attack.literal(type, tenant_column, tenant, row_number), ', ' order by position))
    from writable
$$;

-- Two rows for every table.
create function attack.seed() returns void language plpgsql as $$
declare
    found record;
begin
    for found in
        select con.conrelid::regclass as target, con.conname from pg_constraint con
        join pg_class c on c.oid = con.conrelid
        where c.relnamespace = 'public'::regnamespace and con.contype in ('c', 'f') and con.conislocal
          and con.conparentid = 0 and not c.relispartition
        order by con.contype desc
    loop
        execute format('alter table %s drop constraint if exists %I', found.target, found.conname);
    end loop;
    set local session_replication_role = replica;
    for found in select distinct c.relid::regclass as target from attack.columns c join pg_class t on t.oid = c.relid
                 where not t.relispartition
    loop
        execute format('delete from %s', found.target);
        execute attack.insertion(found.target, current_user, 'a', 1);
        execute attack.insertion(found.target, current_user, 'b', 2);
    end loop;
    set local session_replication_role = origin;
end $$;

-- Runs one statement as this role in this context, takes it back, and says how it went: how many rows, `denied`
-- by a missing right, `refused` by a policy, or the state that Postgres gave.
create function attack.outcome(role text, context text, statement text) returns text language plpgsql as $$
declare
    touched bigint;
begin
    begin
        execute format('set local role %I', role);
        if context is not null then
            perform set_config('berth.tenant_id', context, true);
        end if;
        execute statement;
        get diagnostics touched = row_count;
        raise exception using errcode = 'ZZ001', message = touched::text;
    exception
        when sqlstate 'ZZ001' then return sqlerrm;
        when insufficient_privilege then
            return case when sqlerrm like '%row-level security%' then 'refused' else 'denied' end;
        when others then return sqlstate;
    end;
end $$;

-- What an attack does in each context: an emptied tenant, garbage, one that is not there, and tenant A on its own
-- and on B's rows; or, `unnamed`, in a session that never named one. TARGET stands for the condition on rows.
create function attack.line(unnamed boolean, role text, is_tenant_table boolean, statement text, strange text)
    returns text language plpgsql as $$
declare
    tenant     uuid := (select a from attack.constants);
    everything text := replace(statement, 'TARGET', 'true');
    cells      text[];
begin
    if unnamed then
        return 'unnamed ' || attack.outcome(role, null, everything);
    end if;
    cells := array[
        attack.outcome(role, '', everything),
        attack.outcome(role, 'x', everything),
        attack.outcome(role, '00000000-0000-4000-8000-00000000000c', everything)];
    -- Where nothing chooses the rows, they are those that the context shows.
    if is_tenant_table and (statement like '%TARGET%' or strange <> statement) then
        cells := cells
            || attack.outcome(role, tenant::text, replace(statement, 'TARGET', format('tenant_id = %L', tenant)))
            || attack.outcome(role, tenant::text, replace(strange, 'TARGET', format('tenant_id <> %L', tenant)));
    else
        cells := cells || attack.outcome(role, tenant::text, everything);
    end if;
    if (select count(distinct cell) from unnest(cells) as cell) = 1 then
        return 'always ' || cells[1];
    end if;
    return format('empty %s, garbage %s, stranger %s, own %s, foreign %s',
                  cells[1], cells[2], cells[3], cells[4], coalesce(cells[5], '-'));
end $$;

-- Every attack on one table by one role.
create function attack.on_table(target regclass, role text, unnamed boolean)
    returns table (attack text, went text) language plpgsql as $$
declare
    place        text := (select format('public.%I', relname) from pg_class where oid = target);
    tenants      boolean := exists (select from attack.columns c where c.relid = target and c.tenant_column)
                            and (exists (select from pg_policy p where p.polrelid = target and p.polname = 'tenant_rows')
                                 or has_any_column_privilege('berth_tenant', target, 'select'));
    key_columns  text := (select string_agg(quote_ident(a.attname), ', ') from pg_index i
                          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
                          where i.indrelid = target and i.indisprimary);
    settable     text := (select quote_ident(name) from attack.columns c where c.relid = target
                          order by not has_column_privilege(role, target, name, 'update'), position limit 1);
    on_conflict  text := case when key_columns is not null then format(' on conflict (%s) do update set %s = excluded.%s', key_columns, settable, settable) end;
    written      record;
    tried        record;
begin
    for tried in
        select * from (values
            ('select',   'select from PLACE where TARGET', null),
            ('lock',     'select from PLACE where TARGET for update', null),
            ('insert',   attack.insertion(target, role, 'a', 3), attack.insertion(target, role, 'b', 3)),
            ('upsert',   attack.insertion(target, role, 'a', 1) || on_conflict, attack.insertion(target, role, 'b', 2) || on_conflict),
            ('move to B', case when tenants then 'update PLACE set tenant_id = B where TARGET' end, null),
            ('set blindly', format('update PLACE set %s = default', settable), null),
            ('delete',   'delete from PLACE where TARGET', null),
            ('delete blindly', 'delete from PLACE', null),
            ('merge',    'merge into PLACE using (select 1) as s on TARGET when matched then delete', null),
            ('truncate', 'truncate PLACE', null)
        ) as attacks (name, statement, strange)
        where statement is not null
    loop
        tried.statement := replace(replace(tried.statement, 'PLACE', place), ' B ', format(' %L ', (select b from attack.constants)));
        return query select tried.name, attack.line(unnamed, role, tenants, tried.statement, coalesce(tried.strange, tried.statement));
    end loop;
    -- One line for all columns that fare alike.
    for written in
        select string_agg(name::text, ' ' order by position) as names, line
        from attack.columns c,
             format('update %s set %I = %I where TARGET', place, name, name) as statement,
             attack.line(unnamed, role, tenants, statement, statement) as line
        where c.relid = target group by line order by min(position)
    loop
        return query select 'update ' || written.names, written.line;
    end loop;
end $$;

-- The table's lines of the expectation: one for all attacks of a role that fare alike.
-- A session that never named a tenant gets its lines where a grant lets it try.
create function attack.lines(target regclass, roles text[], unnamed boolean) returns setof text language sql as $$
    with named as (
        select case when c.relispartition then regexp_replace(c.relname, '\d{8}$', '<week>') else c.relname end as name
        from pg_class c where c.oid = target
    ), tried as (
        select role, string_agg(t.attack, ', ' order by t.attack) as attacks, t.went
        from unnest(roles) as role, attack.on_table(target, role, unnamed) as t
        group by role, t.went
    )
    select concat_ws(e'\t', name, role, case when went = 'always denied' and count(*) over (partition by role) = 1
                                             then 'everything' else attacks end, went)
    from named, tried
    where went <> 'unnamed denied'
$$;

-- Which of Postgres's own views tell this role anything about the sessions or values of others.
create function attack.statistics(role text) returns text[] language plpgsql as $$
declare
    shown text[] := '{}';
    view  text;
    went  text;
begin
    foreach view in array array[
        'pg_stat_activity where query is distinct from ''<insufficient privilege>'' and pid <> pg_backend_pid() and backend_type = ''client backend''',
        'pg_stats where schemaname = ''public''', 'pg_stats_ext', 'pg_statistic', 'pg_authid', 'pg_stat_ssl where client_dn is not null',
        'pg_hba_file_rules', 'pg_file_settings', 'pg_shadow', 'pg_user_mapping', 'pg_largeobject', 'pg_subscription',
        'pg_prepared_xacts']
    loop
        went := attack.outcome(role, null, 'select from ' || view);
        if went not in ('denied', '0') then
            shown := shown || (view || ': ' || went);
        end if;
    end loop;
    return shown;
end $$;

-- The rest that a role may touch: functions, views, sequences, schemas, and other roles.
create function attack.elsewhere() returns setof text language sql as $$
    with roles (role) as (values ('berth_tenant'), ('berth_system'), ('berth_readonly'), ('berth_login'), ('berth_nobody')),
    granted as (
        select 'function ' || p.oid::regprocedure::text as what, role, 'execute' as privilege
        from pg_proc p, roles
        where p.pronamespace in ('public'::regnamespace, 'berth'::regnamespace) and has_function_privilege(role, p.oid, 'execute')
        union all
        select 'view ' || c.relname, role, privilege
        from pg_class c, roles, unnest(array['select', 'insert', 'update', 'delete']) as privilege
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('v', 'm') and has_table_privilege(role, c.oid, privilege)
        union all
        select 'sequence ' || c.relname, role, privilege
        from pg_class c, roles, unnest(array['usage', 'select', 'update']) as privilege
        where c.relnamespace in ('public'::regnamespace, 'berth'::regnamespace) and c.relkind = 'S'
          and has_sequence_privilege(role, c.oid, privilege)
        union all
        select 'schema ' || n.nspname, role, privilege
        from pg_namespace n, roles, unnest(array['usage', 'create']) as privilege
        where n.nspname in ('public', 'berth') and has_schema_privilege(role, n.oid, privilege)
        union all
        select 'role ' || r.rolname, role, 'member'
        from pg_roles r, roles where r.rolname like 'berth%' and r.rolname <> role and pg_has_role(role, r.oid, 'member')
        union all
        select 'attribute', rolname, attribute
        from pg_roles r, lateral (values ('superuser', rolsuper), ('bypassrls', rolbypassrls), ('createrole', rolcreaterole),
                                         ('createdb', rolcreatedb), ('replication', rolreplication)) as has (attribute, it)
        where r.rolname like 'berth%' and it
        union all
        select 'default grant of ' || d.defaclrole::regrole, 'everybody', d.defaclacl::text from pg_default_acl d
        union all
        select 'statistics of others', 'berth_tenant', seen from unnest(attack.statistics('berth_tenant')) as seen
    )
    select concat_ws(e'\t', what, role, string_agg(privilege, ' ' order by privilege), 'may') from granted group by what, role
$$;
