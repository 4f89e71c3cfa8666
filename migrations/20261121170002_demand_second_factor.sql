-- Why: whoever runs the service shows a second factor, and is an operator because of who they are at their issuer.
-- Lock: none held on existing tables, but for a moment on users. Running versions: do not ask for a factor yet.

-- An operator's authenticator. Unconfirmed until the first code was right.
create table operator_factors (
    user_id        uuid         not null primary key references users (id) on delete cascade,
    secret_sealed  bytea        not null,
    confirmed_at   timestamptz,
    last_step      bigint       not null default 0,               -- no code of this step or an earlier one is taken
    failures       integer      not null default 0,               -- wrong codes since window_at
    window_at      timestamptz  not null default berth.now(),
    created_at     timestamptz  not null default berth.now()
);
select berth.make_house_table('operator_factors');
grant select, insert, delete, update (secret_sealed, confirmed_at, last_step, failures, window_at, created_at)
   on operator_factors to berth_system;

-- For when the authenticator is lost. Only hashes are here; each works once.
create table recovery_codes (
    code_hash  bytea        not null primary key,
    user_id    uuid         not null references users (id) on delete cascade,
    used_at    timestamptz
);
create index recovery_codes_of_user on recovery_codes (user_id);
select berth.make_house_table('recovery_codes');
grant select, insert, delete, update (used_at) on recovery_codes to berth_system;

-- Which user an address of ADMIN_EMAILS made an operator. An address does that once, for ever.
create table operator_bootstraps (
    email    text         not null primary key,
    user_id  uuid         not null,
    at       timestamptz  not null default berth.now()
);
select berth.make_house_table('operator_bootstraps');
grant select, insert on operator_bootstraps to berth_system;
