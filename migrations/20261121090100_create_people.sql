-- Why: who can sign in, in which tenants, with what.
-- Lock: none held on existing tables. Running versions: none yet.

create table users (
    id           uuid        not null primary key,
    issuer       text        not null,
    subject      text        not null,
    email        text        not null,
    is_operator  boolean     not null default false,
    created_at   timestamptz not null default berth.now(),
    constraint users_identity_key unique (issuer, subject)
);
select berth.make_house_table('users');
grant select, insert, update (email, is_operator) on users to berth_system;

create table tenants (
    id          uuid        not null primary key,
    name        text        not null,
    created_at  timestamptz not null default berth.now()
);
select berth.make_house_table('tenants');
grant select, insert on tenants to berth_system;

create table members (
    id          uuid        not null primary key,
    tenant_id   uuid        not null references tenants (id),
    user_id     uuid        not null references users (id),
    role        text        not null check (role in ('owner', 'admin', 'member', 'viewer')),
    created_at  timestamptz not null default berth.now(),
    constraint members_user_key unique (tenant_id, user_id)
);
create index members_of_user on members (user_id, created_at);
select berth.make_house_table('members');
grant select, insert on members to berth_system;

-- A browser that is signed in. Only the hash of its cookie is here.
create table sessions (
    id          uuid        not null primary key,
    token_hash  bytea       not null,
    user_id     uuid        not null references users (id),
    tenant_id   uuid        not null references tenants (id),
    created_at  timestamptz not null default berth.now(),
    expires_at  timestamptz not null,
    constraint sessions_token_key unique (token_hash)
);
select berth.make_house_table('sessions');
grant select, insert, delete on sessions to berth_system;

-- Personal API tokens. Only the hash is here.
create table tokens (
    id          uuid        not null primary key,
    token_hash  bytea       not null,
    user_id     uuid        not null references users (id),
    tenant_id   uuid        not null references tenants (id),
    name        text        not null,
    created_at  timestamptz not null default berth.now(),
    expires_at  timestamptz not null,
    constraint tokens_token_key unique (token_hash)
);
select berth.make_house_table('tokens');
grant select, insert, delete on tokens to berth_system;

-- One-time links: the first operator's set-up, and signing in without a vendor.
create table links (
    token_hash  bytea       not null primary key,
    purpose     text        not null check (purpose in ('setup', 'sign_in')),
    user_id     uuid        references users (id),
    created_at  timestamptz not null default berth.now(),
    expires_at  timestamptz not null,
    used_at     timestamptz,
    check ((purpose = 'sign_in') = (user_id is not null))
);
select berth.make_house_table('links');
grant select, insert, delete, update (used_at) on links to berth_system;
