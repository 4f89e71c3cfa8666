-- Why: a predicate of the asking query must not run before the view's own conditions, which choose whose values count.
-- Whoever may ask is berth_system alone, so nothing leaked; the prover (VIEW002) is right that nothing should rest on it.
-- Lock: short, exclusive, on the view. Running versions ask it as before.

alter view sealed_house_values set (security_barrier = true);
