-- Why: Stripe waits while an event is kept. By this function that takes one round trip instead of three, and the clock
-- is read once instead of six times.
-- Lock: none held on existing tables. Running versions: do not call it.

-- Enters the role of the house for the one statement that calls it, as a transaction of the house does: it lapses with
-- it. Not a definer's: rights and row security bind it as anywhere else. The login may call it, and so comes to nothing
-- that `set role berth_system` does not give it. Whether the event is new; of one that is here nothing is written.
create function berth.keep_event(
    event uuid, event_name text, event_kind text, event_is_live boolean, event_body bytea,
    flow uuid, flow_kind text, flow_step jsonb, flow_seconds double precision, flow_trace text
) returns boolean
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    at timestamptz;
begin
    perform set_config('role', 'berth_system', true);
    at := berth.now();
    insert into public.events (id, sender, name, kind, is_live, body, received_at)
    values (event, 'stripe', event_name, event_kind, event_is_live, event_body, at)
    on conflict (sender, name) do nothing;
    if not found then
        return false;
    end if;
    insert into public.flows (id, kind, subject, step, step_since, run_at, created_at, deadline_at, trace)
    values (flow, flow_kind, event, flow_step, at, at, at, at + make_interval(secs => flow_seconds), flow_trace);
    return true;
end $$;
revoke execute on function berth.keep_event(uuid, text, text, boolean, bytea, uuid, text, jsonb, double precision, text) from public;
grant execute on function berth.keep_event(uuid, text, text, boolean, bytea, uuid, text, jsonb, double precision, text)
   to berth_login, berth_system;
