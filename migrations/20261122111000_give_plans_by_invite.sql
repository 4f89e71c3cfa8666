-- Why: an invite may bring a plan along, so that who comes by it does not pay, for some days or for good.
-- Lock: short, exclusive, on invites. Running versions: make invites without, and give nothing for those with one.

alter table invites
    add column gift_plan  text    references plans (plan),
    add column gift_days  integer check (gift_days between 1 and 3650),  -- from signing up; null: for good
    add constraint invites_gift_check check (gift_plan is not null or gift_days is null);
