-- Why: the only engine. One row is one running state machine and its queue entry.
-- Lock: none held on existing tables. Running versions: none yet.

create table flows (
    id             uuid        not null primary key,
    kind           text        not null check (kind in ('life', 'exchange', 'sweep')),
    tenant_id      uuid        references tenants (id),
    subject        uuid        not null,                        -- the agent, exchange or sweep it is about
    step           jsonb       not null,
    step_since     timestamptz not null default berth.now(),
    run_at         timestamptz not null default berth.now(),
    lease_until    timestamptz,
    lease_token    uuid,                                        -- fences: a settle must bring it
    attempt        integer     not null default 0,              -- claims of this step that did not move it on
    wakes          bigint      not null default 0,              -- a settle that raced a wake-up runs again at once
    deadline_at    timestamptz,
    removal_asked  boolean     not null default false,
    created_at     timestamptz not null default berth.now(),
    constraint flows_subject_key unique (kind, subject)
) with (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
create index flows_due on flows (run_at);
select berth.make_house_table('flows');
grant select, insert, delete,
      update (step, step_since, run_at, lease_until, lease_token, attempt, wakes, deadline_at, removal_asked)
   on flows to berth_system;

-- A request to a flow. Asking twice before it was heard is asking once; asking again while it is heard counts.
create sequence flow_signal_seq;
create table flow_signals (
    flow_id  uuid        not null references flows (id) on delete cascade,
    signal   text        not null,
    seq      bigint      not null default nextval('flow_signal_seq'),
    at       timestamptz not null default berth.now(),
    primary key (flow_id, signal)
);
select berth.make_house_table('flow_signals');
grant select, insert, delete, update (seq, at) on flow_signals to berth_system;
grant usage on sequence flow_signal_seq to berth_system;

-- How long steps took: what is usual on a timeline is drawn from here.
create table step_runs (
    kind     text        not null,
    step     text        not null,
    took_ms  bigint      not null,
    at       timestamptz not null default berth.now()
);
create index step_runs_recent on step_runs (kind, step, at desc);
select berth.make_house_table('step_runs');
grant select, insert on step_runs to berth_system;

-- A person is needed. Unique while open.
create table alerts (
    id          uuid        not null primary key,
    key         text        not null,
    kind        text        not null,
    tenant_id   uuid        references tenants (id),
    subject     text        not null,
    message     text        not null,
    opened_at   timestamptz not null default berth.now(),
    seen_at     timestamptz not null default berth.now(),
    closed_at   timestamptz
);
create unique index alerts_open_key on alerts (key) where closed_at is null;
select berth.make_house_table('alerts');
grant select, insert, update (message, seen_at, closed_at) on alerts to berth_system;
