-- Why: a tenant chooses an agent's model and tells it about itself.
-- Lock: short, exclusive, on agents. Running versions: ignore the columns; agents they configure get neither.

alter table agents
    add column model         text  check (length(model) <= 100),           -- null: the first one of the menu
    add column instructions  text  check (length(instructions) between 1 and 8000);
