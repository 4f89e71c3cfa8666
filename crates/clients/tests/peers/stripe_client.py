"""Stripe's own client against the one that stands for Stripe."""

import sys

import stripe

base, key, price = sys.argv[1:]


def client(key):
    return stripe.StripeClient(key, base_addresses={"api": base}, max_network_retries=0)


def ask(words):
    """The test acts as the customer, and says so."""
    print(words, flush=True)
    return sys.stdin.readline().strip()


def refused(kind, call, *args):
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


api = client(key).v1
customer = api.customers.create({"name": "Ada & Co", "email": "ada@harbour.example", "metadata": {"berth_tenant": "ten_1"}})
assert api.customers.retrieve(customer.id).metadata["berth_tenant"] == "ten_1"
assert [one.id for one in api.prices.list({"lookup_keys": ["starter", "nothing"]}).data] == [price]

wish = {
    "mode": "subscription",
    "customer": customer.id,
    "line_items": [{"price": price, "quantity": 1}],
    "client_reference_id": "ten_1",
    "subscription_data": {"trial_period_days": 7, "metadata": {"berth_tenant": "ten_1"}},
    "success_url": "https://berth.example/paid?c={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://berth.example/",
}
once = {"idempotency_key": "key-of-another-checkout"}
session = api.checkout.sessions.create(wish, once)
assert api.checkout.sessions.create(wish, once).id == session.id
refused(stripe.IdempotencyError, api.checkout.sessions.create, {**wish, "cancel_url": "https://other.example/"}, once)
subscription = ask(f"pay {session.id}")
done = api.checkout.sessions.retrieve(session.id)
assert (done.status, done.payment_status, done.subscription) == ("complete", "no_payment_required", subscription)

portal = api.billing_portal.sessions.create({"customer": customer.id, "return_url": "https://berth.example/"})
assert "/p/session/bps_" in portal.url
for _ in range(4):
    ask(f"pay {api.checkout.sessions.create(wish).id}")
listed = api.subscriptions.list({"customer": customer.id, "status": "all", "limit": 2})
assert len({one.id for one in listed.auto_paging_iter()}) == 5

leaving = api.subscriptions.update(subscription, {"cancel_at_period_end": True})
assert leaving.cancel_at == leaving["items"].data[0].current_period_end
assert api.subscriptions.cancel(subscription).status == "canceled"
assert refused(stripe.InvalidRequestError, api.subscriptions.cancel, subscription).code == "resource_missing"

events = list(api.events.list({"limit": 3, "created": {"gte": customer.created}}).auto_paging_iter())
assert any(e.type == "customer.subscription.deleted" and e.data.object["id"] == subscription for e in events)

refused(stripe.InvalidRequestError, api.customers.retrieve, "cus_nobody")
refused(stripe.InvalidRequestError, api.charges.retrieve, "ch_nobody")
assert refused(stripe.InvalidRequestError, api.customers.create, {"nonsense": 1}).code == "parameter_unknown"
refused(stripe.AuthenticationError, client("sk_test_wrong").v1.customers.list)
ask("limit 1")
refused(stripe.RateLimitError, api.customers.list)
ask("fail 1")
refused(stripe.APIError, api.customers.list)
print("well")
