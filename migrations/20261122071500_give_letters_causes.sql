-- Why: a letter about a tenant is written in the transaction of its cause, and sent once for it.
-- Lock: short, exclusive, on letters and billing; both small. Running versions: write and send letters as before; one of
-- a kind that they do not know they retry until a newer one takes it.

alter table letters
    drop constraint letters_kind_check,
    add constraint letters_kind_check check (kind in ('sign_in', 'invite', 'welcome', 'ready', 'trial_ending', 'payment_failed',
                                                      'suspended', 'restored', 'cancelled', 'removed')),
    add column tenant_id  uuid references tenants (id) on delete cascade, -- whose; what was not sent goes with it
    add column cause      text check (length(cause) <= 200),              -- stays when the letter is forgotten
    add column facts      jsonb,                                          -- what it tells; no secret
    add constraint letters_cause_key unique (tenant_id, cause),
    add constraint letters_tenant_check check ((cause is null) = (tenant_id is null)),
    add constraint letters_facts_check check (facts is null or cause is not null);
-- Once it is forgotten, its cause alone is left: nobody is told of the same twice, however late.
grant update (to_address, facts) on letters to berth_system;

-- Agents that are being removed because their tenant left, with the names that are gone with them: for the certificate.
alter table billing add column removing jsonb not null default '[]';
grant update (removing) on billing to berth_system;
