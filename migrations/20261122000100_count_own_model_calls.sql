-- Why: calls with a tenant's own key cost the house nothing and are bound by no budget of its; their tokens are counted.
-- Lock: short, exclusive, on model_days. Running versions: ignore the columns.

alter table model_days
    add column own_calls          bigint not null default 0,   -- that have ended
    add column own_input_tokens   bigint not null default 0,
    add column own_output_tokens  bigint not null default 0;
grant update (own_calls, own_input_tokens, own_output_tokens) on model_days to berth_tenant;
