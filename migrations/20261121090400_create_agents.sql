-- Why: what a tenant owns, talks to and sees. Everything here is written in that tenant's transactions.
-- Lock: none held on existing tables. Running versions: none yet.

create table agents (
    tenant_id    uuid        not null references tenants (id),
    id           uuid        not null,
    name         text        not null check (name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    wanted       text        not null check (wanted in ('running', 'stopped', 'gone')),
    seen         jsonb       not null,
    machine      jsonb,
    proof        jsonb,
    asked_with   text,                                             -- the Idempotency-Key of its creation
    next_seq     bigint      not null default 1,                   -- of its timeline
    created_at   timestamptz not null default berth.now(),
    primary key (tenant_id, id),
    constraint agents_name_key unique (tenant_id, name),
    constraint agents_asked_with_key unique (tenant_id, asked_with)
);
select berth.make_tenant_table('agents');
grant select, insert, delete, update (wanted, seen, machine, proof, next_seq) on agents to berth_tenant;

create table timeline (
    tenant_id  uuid        not null,
    agent_id   uuid        not null,
    seq        bigint      not null,
    at         timestamptz not null default berth.now(),
    what       jsonb       not null,
    primary key (tenant_id, agent_id, seq),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) on delete cascade
);
select berth.make_tenant_table('timeline');
grant select, insert on timeline to berth_tenant;

create table proofs (
    tenant_id   uuid        not null,
    id          uuid        not null,
    agent_id    uuid        not null,
    nonce       text        not null,
    asked_at    timestamptz not null default berth.now(),
    ended_at    timestamptz,
    ok          boolean,
    latency_ms  integer,
    why         text,
    primary key (tenant_id, id),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) on delete cascade
);
create index proofs_of_agent on proofs (tenant_id, agent_id, asked_at desc);
select berth.make_tenant_table('proofs');
grant select, insert, update (ended_at, ok, latency_ms, why) on proofs to berth_tenant;

-- Words on their way between a person and an agent: sealed, and gone after ten minutes.
create table exchanges (
    tenant_id  uuid        not null,
    id         uuid        not null,
    agent_id   uuid        not null,
    kind       text        not null check (kind in ('turn', 'logs')),
    state      jsonb       not null,
    question   bytea,
    answer     bytea,
    asked_at   timestamptz not null default berth.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) on delete cascade
);
create index exchanges_of_agent on exchanges (tenant_id, agent_id, asked_at desc);
select berth.make_tenant_table('exchanges');
grant select, insert, delete, update (state, answer) on exchanges to berth_tenant;
