-- Why: machines and the keys that Berth made for them, sealed before the machine exists.
-- Lock: none held on existing tables. Running versions: none yet.

-- The SSH authority that signs short certificates for Berth's own connections.
create table ssh_authorities (
    id          uuid        not null primary key,
    only_one    boolean     not null default true unique check (only_one),
    public_key  text        not null,
    key_sealed  bytea       not null,
    created_at  timestamptz not null default berth.now()
);
select berth.make_house_table('ssh_authorities');
grant select, insert on ssh_authorities to berth_system;

create table machines (
    id                    uuid        not null primary key,
    tenant_id             uuid        references tenants (id),     -- a spare has none
    agent_id              uuid,
    provider              text        not null,
    isolation             text        not null,
    image                 text        not null,
    state                 text        not null check (state in ('reserved', 'made', 'gone')),
    address               text,
    host_key              text        not null,                    -- public half, pinned
    host_key_sealed       bytea       not null,
    machine_key_sealed    bytea       not null,                    -- seals secrets at rest on the machine
    machine_token_sealed  bytea       not null,                    -- the machine calling home
    machine_token_hash    bytea       not null,
    gateway_token_sealed  bytea       not null,
    model_key_sealed      bytea       not null,                    -- the model route's virtual key
    model_key_hash        bytea       not null,
    fence                 bigint      not null default 0,          -- grows with every configuration sent
    digest                text,                                    -- of the configuration wanted at that fence
    in_force              jsonb,                                   -- what the gateway reported last
    guest                 jsonb,                                   -- what the machine said of itself last
    created_at            timestamptz not null default berth.now(),
    gone_at               timestamptz,
    constraint machines_token_key unique (machine_token_hash),
    constraint machines_model_key unique (model_key_hash),
    check ((state = 'gone') = (gone_at is not null)),
    check ((tenant_id is null) = (agent_id is null))
);
-- Never two machines for one agent.
create unique index machines_of_agent on machines (agent_id) where gone_at is null;
select berth.make_house_table('machines');
grant select, insert,
      update (tenant_id, agent_id, state, address, fence, digest, in_force, guest, gone_at,
              host_key_sealed, machine_key_sealed, machine_token_sealed, gateway_token_sealed, model_key_sealed)
   on machines to berth_system;

-- One look at every machine, asked by cron or by an operator.
create table sweeps (
    id        uuid        not null primary key,
    asked_at  timestamptz not null default berth.now(),
    ended_at  timestamptz,
    counts    jsonb
);
-- Whoever asks while one is under way joins it.
create unique index sweeps_running on sweeps ((true)) where ended_at is null;
select berth.make_house_table('sweeps');
grant select, insert, update (ended_at, counts) on sweeps to berth_system;
