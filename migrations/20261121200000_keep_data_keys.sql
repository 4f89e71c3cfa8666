-- Why: each tenant's values are sealed under a data key of its own, which lies here wrapped under a master key.
-- A master key is changed by wrapping the data keys anew; a tenant's values end with its data key.
-- Lock: none held on existing tables, but for the checks, a moment each. Running versions: seal the house's values
-- directly under a master key, which stays readable, and stop at the first word of a tenant that is sealed anew.

-- The operator's keys that this database has seen. The keys themselves are never here.
create table master_keys (
    id     bytea        not null primary key check (octet_length(id) = 16),
    state  text         not null check (state in ('current', 'retiring', 'retired')),
    since  timestamptz  not null default berth.now()
);
create unique index master_keys_current on master_keys (state) where state = 'current';
create unique index master_keys_retiring on master_keys (state) where state = 'retiring';
select berth.make_house_table('master_keys');
grant select, insert, update (state, since) on master_keys to berth_system;

create table data_keys (
    id          uuid         not null primary key,
    tenant_id   uuid         references tenants (id) on delete cascade,     -- null: the house's own
    wrapped     bytea        not null check (octet_length(wrapped) = 77 and substring(wrapped from 1 for 1) = '\x01'),
    created_at  timestamptz  not null default berth.now(),
    constraint data_keys_of_owner unique nulls not distinct (tenant_id)
);
create index data_keys_by_master on data_keys (substring(wrapped from 2 for 16), id);
select berth.make_house_table('data_keys');
grant select, insert, delete, update (wrapped) on data_keys to berth_system;

-- A process that slept through a rotation would wrap under the old key. The lock is shared, so that a key retires
-- only after whoever still wraps under it has committed.
create function berth.refuse_retired_key() returns trigger
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    if not has_table_privilege('public.master_keys', 'select') then
        raise exception 'only Berth itself wraps data keys' using errcode = 'check_violation';
    end if;
    perform from public.master_keys where id = substring(new.wrapped from 2 for 16) and state <> 'retired' for share;
    if not found then
        raise exception 'wrapped under a master key that is retired or was never seen' using errcode = 'check_violation';
    end if;
    return new;
end $$;
revoke execute on function berth.refuse_retired_key() from public;
create trigger data_keys_wrapped before insert or update of wrapped on data_keys
    for each row execute function berth.refuse_retired_key();

-- Nothing but an envelope lies in a sealed column. Keys of a machine that is gone are emptied.
alter table ssh_authorities
    add constraint ssh_authorities_sealed check (octet_length(key_sealed) >= 45 and substring(key_sealed from 1 for 1) = '\x01');
alter table operator_factors
    add constraint operator_factors_sealed check (octet_length(secret_sealed) >= 45 and substring(secret_sealed from 1 for 1) = '\x01');
alter table exchanges
    add constraint exchanges_sealed check ((octet_length(question) >= 45 and substring(question from 1 for 1) = '\x01')
                                           and (octet_length(answer) >= 45 and substring(answer from 1 for 1) = '\x01'));
alter table machines
    add constraint machines_sealed check (
        (state = 'gone' or octet_length(host_key_sealed) >= 45 and substring(host_key_sealed from 1 for 1) = '\x01')
        and (state = 'gone' or octet_length(machine_key_sealed) >= 45 and substring(machine_key_sealed from 1 for 1) = '\x01')
        and (state = 'gone' or octet_length(machine_token_sealed) >= 45 and substring(machine_token_sealed from 1 for 1) = '\x01')
        and (state = 'gone' or octet_length(gateway_token_sealed) >= 45 and substring(gateway_token_sealed from 1 for 1) = '\x01')
        and (state = 'gone' or octet_length(model_key_sealed) >= 45 and substring(model_key_sealed from 1 for 1) = '\x01'));

grant update (key_sealed) on ssh_authorities to berth_system;

-- Every value that is sealed for the house, with its place: for counting under which key they lie.
create view sealed_house_values with (security_invoker = true) as
    select 'ssh_authorities' as in_table, 'key_sealed' as in_column, id as row_id, key_sealed as value
    from ssh_authorities
    union all select 'operator_factors', 'secret_sealed', user_id, secret_sealed from operator_factors
    union all select 'machines', 'host_key_sealed', id, host_key_sealed from machines where gone_at is null
    union all select 'machines', 'machine_key_sealed', id, machine_key_sealed from machines where gone_at is null
    union all select 'machines', 'machine_token_sealed', id, machine_token_sealed from machines where gone_at is null
    union all select 'machines', 'gateway_token_sealed', id, gateway_token_sealed from machines where gone_at is null
    union all select 'machines', 'model_key_sealed', id, model_key_sealed from machines where gone_at is null;
revoke all on sealed_house_values from public;
grant select on sealed_house_values to berth_system;
