-- Why: what a tenant gives Berth to use: keys to models, tokens of bots, variables of an agent. Sealed, never shown.
-- Lock: short, exclusive, on agents and machines. Running versions: do not know of credentials; a machine that they
-- configure has none.

create table credentials (
    tenant_id   uuid         not null references tenants (id) on delete cascade,
    id          uuid         not null,
    agent_id    uuid,                                                 -- null: the tenant's, for all its agents
    kind        text         not null check (kind in ('anthropic', 'openai', 'openrouter', 'compatible',
                                                      'telegram', 'slack', 'discord', 'variable')),
    name        text         not null default '' check (length(name) <= 64),      -- of a variable
    base_url    text         check (length(base_url) <= 300),                     -- of a compatible vendor
    sealed      bytea        not null check (octet_length(sealed) >= 45 and substring(sealed from 1 for 1) = '\x01'),
    tail        text         not null check (length(tail) <= 4),      -- the last four characters, or none of them
    version     bigint       not null default 1,                      -- grows with each replacement
    checked     jsonb,                                                -- what its vendor said of it last
    set_by      uuid         not null,
    set_at      timestamptz  not null default berth.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, agent_id) references agents (tenant_id, id) on delete cascade,
    constraint credentials_one_of_a_kind unique nulls not distinct (tenant_id, agent_id, kind, name),
    check ((kind in ('anthropic', 'openai', 'openrouter', 'compatible')) = (agent_id is null)),
    check ((kind = 'variable') = (name <> '')),
    check ((kind = 'compatible') = (base_url is not null))
);
select berth.make_tenant_table('credentials');
grant select, insert, delete, update (base_url, sealed, tail, version, checked, set_by, set_at)
   on credentials to berth_tenant;

-- One bot speaks for one agent only, in the whole installation. A keyed hash says nothing about the token.
create table bot_tokens (
    token_hash     bytea        not null primary key check (octet_length(token_hash) = 32),
    tenant_id      uuid         not null,
    credential_id  uuid         not null,
    created_at     timestamptz  not null default berth.now(),
    unique (tenant_id, credential_id),
    foreign key (tenant_id, credential_id) references credentials (tenant_id, id) on delete cascade
);
select berth.make_house_table('bot_tokens');
grant select, insert, delete on bot_tokens to berth_system;

-- How often what an agent's machine is given has changed, and which of it is in force there.
alter table agents
    add column credentials_wanted    bigint  not null default 0,
    add column credentials_in_force  bigint  not null default 0;
grant update (credentials_wanted, credentials_in_force) on agents to berth_tenant;

-- A configuration is another one when its secrets are.
alter table machines
    add column credentials  bigint  not null default 0;               -- the version that went with the fence
grant update (credentials) on machines to berth_system;
