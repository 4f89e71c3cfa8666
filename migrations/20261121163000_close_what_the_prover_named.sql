-- Why: the row-security prover named two things that were open in principle.
-- Lock: exclusive on _sqlx_migrations, which only a migration reads. Running versions: not affected.

-- An object of the same name in a session's own pg_temp must never come before ours.
alter function berth.keep_history() set search_path = pg_catalog, public, pg_temp;

-- The list of migrations belongs to sqlx and is the one table that was bound by nothing but grants.
-- It is not there where the files are run by hand.
do $$
begin
    if to_regclass('public._sqlx_migrations') is not null then
        alter table public._sqlx_migrations enable row level security;
        alter table public._sqlx_migrations force row level security;
        create policy migrator_rows on public._sqlx_migrations to berth_migrator using (true) with check (true);
        revoke all on public._sqlx_migrations from public;
    end if;
end $$;
