-- Why: who was given a plan is told three days before that ends.
-- Lock: short, exclusive, on letters. Running versions: a letter of a kind that they do not know they retry until a newer
-- one takes it.

alter table letters
    drop constraint letters_kind_check,
    add constraint letters_kind_check check (kind in ('sign_in', 'invite', 'welcome', 'ready', 'trial_ending', 'gift_ending',
                                                      'payment_failed', 'suspended', 'restored', 'cancelled', 'removed'));
