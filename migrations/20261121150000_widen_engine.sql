-- The engine under several processes: child flows, scheduled jobs, spare machines, history by partition.

-- Force binds the owner too: a statement that moves rows would silently touch none (see docs/decisions).
-- A migration lifts it, moves, and restores it in one transaction; the catalogue test sees what was forgotten.
create function berth.lift_row_security(name text) returns void
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    execute format('alter table public.%I no force row level security', name);
end $$;

create function berth.restore_row_security(name text) returns void
    language plpgsql
    set search_path = pg_catalog, public
as $$
begin
    execute format('alter table public.%I force row level security', name);
end $$;

revoke execute on function berth.lift_row_security(text), berth.restore_row_security(text) from public;

-- Which kinds there are is said in one place, the catalogue of crate flows; here only their form.
alter table flows drop constraint if exists flows_kind_check;
alter table flows add constraint flows_kind_check check (kind ~ '^[a-z_]{1,40}$');

-- W3C trace context of the request that last asked something of a flow; forgotten when the flow rests.
alter table flows add column trace text check (length(trace) <= 100);
grant update (trace) on flows to berth_system;

-- A child tells its parent when it ends, and what came of it. A parent that is gone hears nothing.
alter table flows add column parent_id uuid references flows (id) on delete set null;
create index flows_of_parent on flows (parent_id) where parent_id is not null;
create index flows_leased on flows (lease_until) where lease_until is not null;

create table flow_results (
    parent_id  uuid        not null references flows (id) on delete cascade,
    child_id   uuid        not null,
    result     jsonb       not null,
    primary key (parent_id, child_id)
);
select berth.make_house_table('flow_results');
grant select, insert on flow_results to berth_system;

-- One run of a job: asked for by the schedule, by cron, by an operator or by Berth itself; one at a time.
create table job_runs (
    id        uuid        not null primary key,
    job       text        not null check (job ~ '^[a-z_]{1,40}$'),
    asked_by  text        not null check (asked_by in ('schedule', 'cron', 'operator', 'berth')),
    asked_at  timestamptz not null default berth.now(),
    ended_at  timestamptz,
    counts    jsonb
);
create unique index job_runs_running on job_runs (job) where ended_at is null;
create index job_runs_recent on job_runs (job, asked_at desc);
select berth.make_house_table('job_runs');
grant select, insert, delete, update (ended_at, counts) on job_runs to berth_system;

select berth.lift_row_security('sweeps'), berth.lift_row_security('job_runs');
insert into job_runs (id, job, asked_by, asked_at, ended_at, counts)
select id, 'health', 'cron', asked_at, ended_at, counts from sweeps;
select berth.restore_row_security('job_runs');
drop table sweeps;

-- When a job runs by itself. The row is the tick's owner: whoever moves next_at on starts the run.
create table schedules (
    job         text        not null primary key check (job ~ '^[a-z_]{1,40}$'),
    cron        text        not null,
    enabled     boolean     not null default true,
    catch_up    text        not null check (catch_up in ('once', 'skip')),  -- what a missed tick becomes
    next_at     timestamptz not null,
    last_at     timestamptz,
    updated_at  timestamptz not null default berth.now()
);
create index schedules_due on schedules (next_at) where enabled;
select berth.make_house_table('schedules');
grant select, insert, update (cron, enabled, catch_up, next_at, last_at, updated_at) on schedules to berth_system;

-- Spares: machines without an agent. A row is made with the machine and deleted by the claim; none comes back,
-- so no machine is ever given twice.
create table spares (
    machine_id  uuid        not null primary key references machines (id),
    image       text        not null,
    state       text        not null check (state in ('making', 'ready', 'retiring')),
    ready_at    timestamptz,
    created_at  timestamptz not null default berth.now(),
    check (state <> 'ready' or ready_at is not null)
);
create index spares_ready on spares (image, ready_at) where state = 'ready';
select berth.make_house_table('spares');
grant select, insert, delete, update (state, ready_at) on spares to berth_system;

alter table machines
    add column claimed_at timestamptz,                             -- when a spare was given to its agent
    add column health     text not null default 'unknown' check (health in ('unknown', 'ready', 'not_ready', 'silent')),
    add column health_at  timestamptz;                             -- when that last changed
create index machines_claimed on machines (claimed_at) where claimed_at is not null;
create index machines_living on machines (id) where gone_at is null;
grant update (claimed_at, health, health_at) on machines to berth_system;

-- How long steps took, by week; a week is forgotten by dropping its partition.
alter table step_runs rename to step_runs_before;
alter index step_runs_recent rename to step_runs_before_recent;
create table step_runs (
    kind     text        not null,
    step     text        not null,
    took_ms  bigint      not null,
    at       timestamptz not null default berth.now()
) partition by range (at);
create index step_runs_recent on step_runs (kind, step, at desc);
select berth.make_house_table('step_runs');
grant select, insert on step_runs to berth_system;

-- What falls outside every prepared week. Only estimates live here, so it is emptied when weeks are prepared.
create table step_runs_rest partition of step_runs default;
select berth.make_house_table('step_runs_rest');

-- Prepares this week and eight to come, drops what ended more than eight weeks ago. Returns how many were dropped.
-- It defines tables, which only the owner may: hence security definer, with fixed text and a fixed path.
create function berth.keep_history() returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, public
as $$
declare
    this_week  date := date_trunc('week', berth.now() at time zone 'UTC')::date;
    monday     date;
    part       text;
    dropped    integer := 0;
    emptied    boolean := false;
begin
    perform pg_advisory_xact_lock(hashtext('berth.keep_history'));
    for ahead in 0..8 loop
        monday := this_week + 7 * ahead;
        part := 'step_runs_' || to_char(monday, 'YYYYMMDD');
        continue when to_regclass('public.' || part) is not null;
        if not emptied then
            truncate public.step_runs_rest;
            emptied := true;
        end if;
        execute format('create table public.%I partition of public.step_runs for values from (%L) to (%L)',
                       part, monday::timestamp at time zone 'UTC', (monday + 7)::timestamp at time zone 'UTC');
        perform berth.make_house_table(part);
    end loop;
    for part in
        select c.relname
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.step_runs'::regclass
          and c.relname ~ '^step_runs_\d{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < this_week - 56
    loop
        execute format('drop table public.%I', part);
        dropped := dropped + 1;
    end loop;
    return dropped;
end $$;
revoke execute on function berth.keep_history() from public;
grant execute on function berth.keep_history() to berth_system;

select berth.keep_history();
select berth.lift_row_security('step_runs_before'), berth.lift_row_security('step_runs');
insert into step_runs (kind, step, took_ms, at)
select kind, step, took_ms, at from step_runs_before where at >= berth.now() - interval '8 weeks';
select berth.restore_row_security('step_runs');
drop table step_runs_before;

-- What the daily retention removes, found without reading the rest.
create index sessions_expired on sessions (expires_at);
create index tokens_expired on tokens (expires_at);
create index links_expired on links (expires_at);
