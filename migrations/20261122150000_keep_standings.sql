-- Why: an operator reads what a month of each tenant brings and costs, and how many begin to pay, fail to, and leave.
-- Lock: short, exclusive, on billing and plan_prices; both small. Running versions: write no standings; the next look of
-- this version writes the one that holds by then.

-- What a price said on pages while it was its plan's: who keeps an older one brings that.
alter table plan_prices
    add column cents    integer check (cents between 0 and 100000000),  -- a month; null: never said
    add column currency text    check (currency ~ '^[a-z]{3}$'),
    add constraint plan_prices_money_check check ((cents is null) = (currency is null));
grant update (cents, currency) on plan_prices to berth_system;

alter table billing
    add column payer        uuid   not null default gen_random_uuid() unique, -- the tenant in standings, which outlive it
    add column model_micros bigint not null default 0 check (model_micros >= 0); -- model calls of thirty days, in millionths of a dollar
grant update (model_micros) on billing to berth_system;

-- How payers stood, one row a change. Who is erased leaves rows that lead to nobody.
create table standings (
    id        bigint       generated always as identity primary key,
    payer     uuid         not null,
    at        timestamptz  not null default berth.now(),
    standing  text         not null check (standing in ('paying', 'trial', 'gift', 'ending', 'past_due', 'suspended', 'left',
                                                        'unpaid', 'billing_off')),
    cents     integer      check (cents >= 0),                     -- what a month brings or would; null: nothing, or not known
    currency  text         check (currency ~ '^[a-z]{3}$'),
    constraint standings_money_check check ((cents is null) = (currency is null))
);
create index standings_of_payer on standings (payer, id);

-- What is known already, past the row security that binds the tables' owner too.
alter table plans no force row level security;
alter table plan_prices no force row level security;
alter table billing no force row level security;
update plan_prices bought set cents = p.cents, currency = p.currency from plans p where p.price_id = bought.price_id;
insert into standings (payer, at, standing)
    select b.payer, b.created_at,
           case b.entitlement ->> 'entitlement'
               when 'suspended' then 'suspended'
               when 'leaving' then 'left'
               when 'gone' then 'left'
               when 'unpaid' then 'unpaid'
               else case b.entitlement -> 'by' ->> 'by'
                   when 'paid' then 'paying'
                   when 'trial' then 'trial'
                   when 'complimentary' then 'gift'
                   when 'cancelled' then 'ending'
                   when 'past_due' then 'past_due'
                   else 'billing_off'
               end
           end
    from billing b where b.entitlement is not null;
alter table billing force row level security;
alter table plan_prices force row level security;
alter table plans force row level security;

select berth.make_house_table('standings');
grant select, insert on standings to berth_system;

-- What a month of each tenant brings and costs, as it stood when its payments were looked at last. Null: not known.
create view tenant_months with (security_invoker = true, security_barrier = true) as
    select b.tenant_id, b.entitled_at as at, last.standing, p.title as plan, own.currency,
           last.cents as price_cents,                                  -- paid, owed, or from the end of the trial on
           case last.standing when 'paying' then last.cents else 0 end as brings_cents,
           coalesce(had.machines, 0) as machines,
           case when had.machines is null then 0
                when p.currency = own.currency then had.machines * p.machine_cents end as machine_cents,
           b.model_micros
    from billing b
    cross join lateral (select s.standing, s.cents, s.currency from standings s where s.payer = b.payer order by s.id desc limit 1) last
    left join plans p on p.plan = berth.plan_of(b, berth.now())
    cross join lateral (select coalesce(last.currency, p.currency) as currency) own
    left join (select m.tenant_id, count(*) as machines from machines m where m.state = 'made' group by m.tenant_id) had
        on had.tenant_id = b.tenant_id;
revoke all on tenant_months from public;
grant select on tenant_months to berth_system;
