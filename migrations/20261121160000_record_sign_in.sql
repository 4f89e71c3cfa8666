-- Why: what may be asked of somebody depends on how, and how long ago, they showed who they are.
-- Lock: short, exclusive, on sessions; the table is small. Running versions: ignore the new columns.

alter table sessions
    add column authenticated_at timestamptz not null default berth.now(), -- when they last showed who they are
    add column factor_at        timestamptz;                              -- when they last gave a second factor
grant update (authenticated_at, factor_at, expires_at, token_hash) on sessions to berth_system;
