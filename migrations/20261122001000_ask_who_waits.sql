-- Why: a tenant sees who waits to be let in at an agent's channels, and lets them in: two more kinds of exchange.
-- Lock: short, exclusive, on exchanges. Running versions: pass over the new kinds, which wait for a worker that knows them.

alter table exchanges
    drop constraint exchanges_kind_check,
    add constraint exchanges_kind_check check (kind in ('turn', 'logs', 'pairings', 'approve'));
