-- Why: setting up the first agent can be left and gone on with, also on another device.
-- Lock: none held on existing tables, but for a moment on tenants and users. Running versions: do not ask.

-- What one person said so far in one tenant. It ends with either.
create table onboardings (
    tenant_id     uuid         not null references tenants (id) on delete cascade,
    user_id       uuid         not null references users (id) on delete cascade,
    agent_id      uuid         not null,                          -- the agent that comes of it gets this id
    step          text         not null check (step in ('name', 'model', 'channel', 'instructions')),
    name          text,
    model         text,
    instructions  text         check (length(instructions) between 1 and 8000),
    ended         text         check (ended in ('finished', 'skipped')),
    changed_at    timestamptz  not null default berth.now(),
    primary key (tenant_id, user_id)
);
select berth.make_tenant_table('onboardings');
grant select, insert, update (agent_id, step, name, model, instructions, ended, changed_at)
   on onboardings to berth_tenant;
