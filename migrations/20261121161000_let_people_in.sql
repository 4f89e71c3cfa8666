-- Why: people sign in at a vendor or by a mailed link, with an invite; sessions rotate and end at once everywhere.
-- Lock: short, exclusive, on users, sessions and links; all small. Running versions: sessions and tokens go on to
-- work there; signing in and making users does not, until they are replaced.

-- Who a vendor says that somebody is. A person may be known to several; an address alone is nobody.
create table identities (
    issuer      text        not null check (issuer <> ''),
    subject     text        not null check (subject <> '' and length(subject) <= 255),
    user_id     uuid        not null references users (id),
    created_at  timestamptz not null default berth.now(),
    constraint identities_pkey primary key (issuer, subject)
);
create index identities_of_user on identities (user_id);
select berth.make_house_table('identities');
grant select, insert on identities to berth_system;

select berth.lift_row_security('users'), berth.lift_row_security('identities');
insert into identities (issuer, subject, user_id, created_at) select issuer, subject, id, created_at from users;
select berth.restore_row_security('users'), berth.restore_row_security('identities');
alter table users
    drop column issuer,
    drop column subject,
    add column email_verified_at timestamptz;                      -- when a vendor or a mailed link last showed it
grant update (email_verified_at) on users to berth_system;

-- An invite lets people sign up. Only a keyed hash of its code is here.
create table invites (
    id          uuid        not null primary key,
    batch_id    uuid        not null,                              -- codes that were made together
    code_hash   bytea       not null,
    note        text        not null default '' check (length(note) <= 200),
    made_by     uuid        not null references users (id),
    uses_max    integer     not null check (uses_max between 1 and 10000),
    uses        integer     not null default 0,
    created_at  timestamptz not null default berth.now(),
    expires_at  timestamptz not null,
    revoked_at  timestamptz,
    constraint invites_code_key unique (code_hash),
    constraint invites_uses_check check (uses between 0 and uses_max)
);
select berth.make_house_table('invites');
grant select, insert, update (uses, revoked_at) on invites to berth_system;

-- Who came by which invite, and so who invited whom.
create table invite_uses (
    user_id    uuid        not null primary key references users (id),
    invite_id  uuid        not null references invites (id),
    used_at    timestamptz not null default berth.now()
);
create index invite_uses_of_invite on invite_uses (invite_id);
select berth.make_house_table('invite_uses');
grant select, insert on invite_uses to berth_system;

-- Who asked to be let in. The source is a keyed hash of the address that asked, under a key that changes monthly.
create table waitlist (
    id           uuid        not null primary key,
    email        text        not null,
    source_hash  bytea,
    asked_at     timestamptz not null default berth.now(),
    invite_id    uuid        references invites (id),
    invited_at   timestamptz,
    constraint waitlist_email_key unique (email),
    check ((invite_id is null) = (invited_at is null))
);
create index waitlist_waiting on waitlist (asked_at, id) where invite_id is null;
select berth.make_house_table('waitlist');
grant select, insert, update (source_hash, invite_id, invited_at) on waitlist to berth_system;

-- One attempt to sign in at a vendor. State and browser are known by their hashes.
create table sign_ins (
    id            uuid        not null primary key,
    provider      text        not null,
    state_hash    bytea       not null,
    browser_hash  bytea       not null,
    invite_id     uuid        references invites (id),
    again         uuid        references users (id),               -- who shows once more who they are
    return_path   text        not null check (length(return_path) <= 1000),
    created_at    timestamptz not null default berth.now(),
    expires_at    timestamptz not null,
    used_at       timestamptz,
    constraint sign_ins_state_key unique (state_hash),
    check (expires_at <= created_at + interval '10 minutes')
);
create index sign_ins_expired on sign_ins (expires_at);
select berth.make_house_table('sign_ins');
grant select, insert, delete, update (used_at) on sign_ins to berth_system;

-- One mail of the house to a person. What is in it is made when it is sent, and stands nowhere.
create table letters (
    id           uuid        not null primary key,
    kind         text        not null check (kind in ('sign_in', 'invite')),
    to_address   text        not null,
    invite_id    uuid        references invites (id),              -- of an invite: which; of a sign-in: the one held
    return_path  text        not null default '/dashboard' check (length(return_path) <= 1000),
    asked_at     timestamptz not null default berth.now(),
    ended_at     timestamptz,
    outcome      text                                              -- in words
);
create index letters_ended on letters (ended_at) where ended_at is not null;
select berth.make_house_table('letters');
grant select, insert, delete, update (ended_at, outcome) on letters to berth_system;

-- A link that was mailed signs in whoever it was mailed to.
alter table links
    drop constraint links_check,
    drop constraint links_purpose_check,
    add column address      text,
    add column invite_id    uuid references invites (id),
    add column return_path  text not null default '/dashboard',
    add constraint links_purpose_check check (purpose in ('setup', 'sign_in', 'mailed')),
    add constraint links_check check ((purpose = 'sign_in') = (user_id is not null)
                                      and (purpose = 'mailed') = (address is not null));

-- What a browser presented before its session was renewed. Presented again, it was stolen.
create table spent_refreshes (
    token_hash  bytea       not null primary key,
    session_id  uuid        not null references sessions (id) on delete cascade,
    spent_at    timestamptz not null default berth.now()
);
create index spent_refreshes_of_session on spent_refreshes (session_id);
select berth.make_house_table('spent_refreshes');
grant select, insert, delete on spent_refreshes to berth_system;

alter table sessions
    add column seen_at     timestamptz not null default berth.now(),  -- when it was opened or last renewed
    add column browser     text        not null default '' check (length(browser) <= 200);
grant update (seen_at, tenant_id) on sessions to berth_system;
create index sessions_of_user on sessions (user_id);

-- What somebody may do has changed: told with the commit, so that no process goes on with what it remembers.
-- In the transaction, against the rule for wake-ups, because nothing may get lost here and it is rare.
create function berth.tell_access() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    perform pg_notify('berth_access', to_jsonb(coalesce(new, old)) ->> tg_argv[0]);
    return null;
end $$;
revoke execute on function berth.tell_access() from public;

create trigger sessions_ended after delete on sessions
    for each row when (old.expires_at > berth.now()) execute function berth.tell_access('id');
create trigger sessions_changed after update of tenant_id, expires_at, authenticated_at, factor_at on sessions
    for each row execute function berth.tell_access('id');
create trigger members_changed after update or delete on members
    for each row execute function berth.tell_access('user_id');
create trigger users_changed after update on users
    for each row when (old.* is distinct from new.*) execute function berth.tell_access('id');
create trigger tenants_changed after update or delete on tenants
    for each row execute function berth.tell_access('id');
