-- Why: a machine's gateway token and machine key are replaced while it runs. The next ones lie here, sealed, before
-- anybody hears of them, beside those in force; they take their place once the machine was seen to hold them.
-- Lock: short, exclusive, on machines. Running versions: send the token that they know, under an older fence than the
-- next one's, and leave a rotation to a worker that knows of it.

alter table machines
    add column rotation_asked_at          timestamptz,                -- null: nobody wants one
    add column rotation_due_at            timestamptz,                -- not before: a fleet goes by turns
    add column gateway_token_next_sealed  bytea,
    add column machine_key_next_sealed    bytea,
    add column gateway_token_replaced_at  timestamptz,                -- null: as old as the machine
    add column machine_key_replaced_at    timestamptz,
    add constraint machines_next_sealed check (
        (octet_length(gateway_token_next_sealed) >= 45 and substring(gateway_token_next_sealed from 1 for 1) = '\x01')
        and (octet_length(machine_key_next_sealed) >= 45 and substring(machine_key_next_sealed from 1 for 1) = '\x01')),
    add constraint machines_rotation check (
        (rotation_asked_at is null) = (rotation_due_at is null)
        and (gateway_token_next_sealed is null) = (machine_key_next_sealed is null)
        and (gateway_token_next_sealed is null or rotation_asked_at is not null)
        and (gone_at is null or rotation_asked_at is null));
grant update (rotation_asked_at, rotation_due_at, gateway_token_next_sealed, machine_key_next_sealed,
              gateway_token_replaced_at, machine_key_replaced_at)
   on machines to berth_system;
create index machines_rotating on machines (rotation_due_at) where rotation_asked_at is not null;

create or replace view sealed_house_values with (security_invoker = true) as
    select 'ssh_authorities' as in_table, 'key_sealed' as in_column, id as row_id, key_sealed as value
    from ssh_authorities
    union all select 'operator_factors', 'secret_sealed', user_id, secret_sealed from operator_factors
    union all select 'machines', 'host_key_sealed', id, host_key_sealed from machines where gone_at is null
    union all select 'machines', 'machine_key_sealed', id, machine_key_sealed from machines where gone_at is null
    union all select 'machines', 'machine_token_sealed', id, machine_token_sealed from machines where gone_at is null
    union all select 'machines', 'gateway_token_sealed', id, gateway_token_sealed from machines where gone_at is null
    union all select 'machines', 'model_key_sealed', id, model_key_sealed from machines where gone_at is null
    union all select 'machines', 'machine_key_next_sealed', id, machine_key_next_sealed
              from machines where machine_key_next_sealed is not null
    union all select 'machines', 'gateway_token_next_sealed', id, gateway_token_next_sealed
              from machines where gateway_token_next_sealed is not null;
