-- Why: alerts reach a person, fire again until somebody says that they know, and say how urgent they are.
-- Lock: a short exclusive one on alerts and on flows (both small; the check reads every flow once).
-- Running versions go on: they open alerts without a notice and count no sightings. The next sighting by
-- this version starts the notice.

-- Each kind of flow comes with the code that runs it; the database holds to the form of the word only.
alter table flows drop constraint if exists flows_kind_check;
alter table flows add constraint flows_kind_check check (kind ~ '^[a-z_]{1,40}$');

alter table alerts
    add column severity         text        not null default 'critical' check (severity in ('critical', 'warning')),
    add column sightings        integer     not null default 1,
    add column firings          integer     not null default 0,
    add column fired_at         timestamptz,
    add column acknowledged_at  timestamptz,
    add column acknowledged_by  uuid references users (id),
    add constraint alerts_acknowledged_check check ((acknowledged_at is null) = (acknowledged_by is null));
grant update (sightings, firings, fired_at, acknowledged_at, acknowledged_by) on alerts to berth_system;

-- One firing of an alert on one carrier. The row is committed before anything leaves the house;
-- its id is what the other side recognises a repetition by.
create table alert_deliveries (
    id        uuid        not null primary key,
    alert_id  uuid        not null references alerts (id),
    firing    integer     not null,
    carrier   text        not null check (carrier in ('mail', 'webhook')),
    state     text        not null default 'pending'
              check (state in ('pending', 'delivered', 'given_up', 'not_needed')),
    tries     integer     not null default 0,
    outcome   text,                                                -- of the last try, in words
    asked_at  timestamptz not null default berth.now(),
    next_at   timestamptz not null default berth.now(),            -- when it is tried (again), while pending
    ended_at  timestamptz,
    constraint alert_deliveries_once_key unique (alert_id, firing, carrier),
    check ((state = 'pending') = (ended_at is null))
);
create index alert_deliveries_pending on alert_deliveries (alert_id, next_at) where state = 'pending';
select berth.make_house_table('alert_deliveries');
grant select, insert, update (state, tries, outcome, next_at, ended_at) on alert_deliveries to berth_system;
