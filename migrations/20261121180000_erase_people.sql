-- Why: a person erases their own account, and nothing that says who they were is left.
-- Lock: short, exclusive, on users and the tables that refer to it; all small. Running versions: go on; they erase
-- nobody, and expect a name beside every invite, which they find as long as nobody who made one is erased.

grant delete on users to berth_system;
grant delete on waitlist to berth_system;

-- What is the person's goes with them.
alter table identities
    drop constraint identities_user_id_fkey,
    add constraint identities_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table members
    drop constraint members_user_id_fkey,
    add constraint members_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table sessions
    drop constraint sessions_user_id_fkey,
    add constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table tokens
    drop constraint tokens_user_id_fkey,
    add constraint tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table links
    drop constraint links_user_id_fkey,
    add constraint links_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table invite_uses
    drop constraint invite_uses_user_id_fkey,
    add constraint invite_uses_user_id_fkey foreign key (user_id) references users (id) on delete cascade;
alter table sign_ins
    drop constraint sign_ins_again_fkey,
    add constraint sign_ins_again_fkey foreign key (again) references users (id) on delete cascade;

-- What they did for the house stays, without saying who it was. The house's audit has their id.
alter table invites
    alter column made_by drop not null,
    drop constraint invites_made_by_fkey,
    add constraint invites_made_by_fkey foreign key (made_by) references users (id) on delete set null;
alter table alerts
    drop constraint alerts_acknowledged_check,
    add constraint alerts_acknowledged_check check (acknowledged_by is null or acknowledged_at is not null),
    drop constraint alerts_acknowledged_by_fkey,
    add constraint alerts_acknowledged_by_fkey
        foreign key (acknowledged_by) references users (id) on delete set null;
alter table job_runs
    drop constraint job_runs_operator_id_fkey,
    add constraint job_runs_operator_id_fkey foreign key (operator_id) references users (id) on delete set null;
alter table schedules
    drop constraint schedules_updated_by_fkey,
    add constraint schedules_updated_by_fkey foreign key (updated_by) references users (id) on delete set null;

-- A timeline is only added to, with one exception: an address in it can be forgotten.
create function berth.only_forget_author() returns trigger
    language plpgsql
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    if new.what is distinct from jsonb_set(old.what, '{by}', '"a former member"', false)
       or (new.tenant_id, new.agent_id, new.seq, new.at) is distinct from (old.tenant_id, old.agent_id, old.seq, old.at)
    then
        raise exception 'a timeline is only added to' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
revoke execute on function berth.only_forget_author() from public;
create trigger timeline_kept before update on timeline
    for each row execute function berth.only_forget_author();
grant update (what) on timeline to berth_tenant;
