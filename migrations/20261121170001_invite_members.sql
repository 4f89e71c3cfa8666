-- Why: people join tenants by invitation, change their role and leave; tokens may be narrow, and say when they
-- were used. Lock: short, exclusive, on tokens. Running versions: ignore the new columns; a narrow token is a
-- wide one there until they are replaced.

-- Somebody is asked to join a tenant. Only the hash of the link is here; it is drawn when the mail is sent.
create table invitations (
    id          uuid        not null primary key,
    tenant_id   uuid        not null references tenants (id) on delete cascade,
    email       text        not null,
    role        text        not null check (role in ('admin', 'member', 'viewer')),
    invited_by  uuid        not null references users (id) on delete cascade,
    token_hash  bytea,
    mail        text,                                              -- what became of the mail, in words
    created_at  timestamptz not null default berth.now(),
    expires_at  timestamptz not null,
    constraint invitations_email_key unique (tenant_id, email),
    constraint invitations_token_key unique (token_hash)
);
select berth.make_house_table('invitations');
grant select, insert, delete, update (token_hash, mail) on invitations to berth_system;

grant update (role), delete on members to berth_system;
grant update (tenant_id) on sessions to berth_system;

alter table tokens
    add column scopes        text[]      not null default '{all}',
    add column last_used_at  timestamptz;                          -- to the minute
grant update (last_used_at) on tokens to berth_system;
create index tokens_of_user on tokens (user_id, tenant_id);
