-- Why: a hard budget for model calls, a tenant and a day (UTC). What a call may cost is held before it is made.
-- Lock: a share lock on tenants while the foreign key is made. Running versions know nothing of these tables.

-- One row a tenant and day. What counts against the day's limit is held plus spent.
create table model_days (
    tenant_id      uuid        not null references tenants (id),
    day            date        not null,
    held_micros    bigint      not null default 0 check (held_micros >= 0),   -- millionths of a US dollar
    spent_micros   bigint      not null default 0 check (spent_micros >= 0),
    calls          bigint      not null default 0,                            -- that have ended
    input_tokens   bigint      not null default 0,
    output_tokens  bigint      not null default 0,
    primary key (tenant_id, day)
);
select berth.make_tenant_table('model_days');
grant select, insert, update (held_micros, spent_micros, calls, input_tokens, output_tokens) on model_days to berth_tenant;

-- One row a call under way: the most that it can cost. It ends with the call; one that nobody ended
-- counts as spent in full, an hour after it was made (store::model_usage).
create table model_holds (
    tenant_id  uuid        not null,
    id         uuid        not null,
    day        date        not null,
    model      text        not null,
    micros     bigint      not null check (micros >= 0),
    held_at    timestamptz not null default berth.now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, day) references model_days (tenant_id, day)
);
select berth.make_tenant_table('model_holds');
grant select, insert, delete on model_holds to berth_tenant;
