-- Why: what may be done only so often is counted here, exactly, for all processes.
-- Lock: none held on existing tables. Running versions: they count nothing.

-- A bucket is the instant at which it is full again. A bucket that is full needs no row: the daily retention
-- removes it. The key is a digest: which addresses asked is not written down.
create table limits (
    key_hash  bytea       not null primary key check (octet_length(key_hash) = 32),
    full_at   timestamptz not null
) with (fillfactor = 70);
create index limits_full on limits (full_at);
select berth.make_house_table('limits');
grant select, insert, delete, update (full_at) on limits to berth_system;
