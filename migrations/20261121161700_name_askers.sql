-- Why: a run that an operator asked for, and a schedule that one changed, say who it was.
-- Lock: a short exclusive one on job_runs and on schedules (both small). Running versions go on and leave them empty.

alter table job_runs add column operator_id uuid references users (id);
alter table schedules add column updated_by uuid references users (id);
grant update (updated_by) on schedules to berth_system;
