-- Why: a tenant ends, thirty days after its owner asked, with everything that belongs to it.
-- Lock: short, exclusive, on tenants and the tables that refer to it. Running versions: do not know of the wish;
-- a tenant that they serve goes on until the flow erases it.

alter table tenants
    add column erase_after  timestamptz,                              -- erased once this is past; null: it stays
    add column erase_by     uuid;                                     -- who asked
grant update (erase_after, erase_by), delete on tenants to berth_system;

-- Whoever deletes a tenant deletes all of it. That is only possible when it is due and has no machine.
create function berth.refuse_early_erasure() returns trigger
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    if old.erase_after is null or old.erase_after > berth.now() then
        raise exception 'this tenant is not due to be erased' using errcode = 'restrict_violation';
    end if;
    if exists (select from public.machines m where m.tenant_id = old.id and m.gone_at is null) then
        raise exception 'a machine of this tenant is not gone' using errcode = 'restrict_violation';
    end if;
    return old;
end $$;
revoke execute on function berth.refuse_early_erasure() from public;
create trigger tenants_erased before delete on tenants
    for each row execute function berth.refuse_early_erasure();

-- What belongs to a tenant goes with it. Agents do not: each goes by its own removal, before.
alter table members
    drop constraint members_tenant_id_fkey,
    add constraint members_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table sessions
    drop constraint sessions_tenant_id_fkey,
    add constraint sessions_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table tokens
    drop constraint tokens_tenant_id_fkey,
    add constraint tokens_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table machines
    drop constraint machines_tenant_id_fkey,
    add constraint machines_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table flows
    drop constraint flows_tenant_id_fkey,
    add constraint flows_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table alerts
    drop constraint alerts_tenant_id_fkey,
    add constraint alerts_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
alter table model_holds
    drop constraint model_holds_tenant_id_day_fkey,
    add constraint model_holds_tenant_id_day_fkey
        foreign key (tenant_id, day) references model_days (tenant_id, day) on delete cascade;
alter table alert_deliveries
    drop constraint alert_deliveries_alert_id_fkey,
    add constraint alert_deliveries_alert_id_fkey foreign key (alert_id) references alerts (id) on delete cascade;
alter table model_days
    drop constraint model_days_tenant_id_fkey,
    add constraint model_days_tenant_id_fkey foreign key (tenant_id) references tenants (id) on delete cascade;
