// Stripe's own client against the one that stands for Stripe.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import Stripe from 'stripe'

const [base, key, price] = process.argv.slice(2)
const { hostname, port } = new URL(base)
const options = { host: hostname, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false }
const stripe = new Stripe(key, options)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
// The test acts as the customer, and says so.
const ask = async (words) => {
  console.log(words)
  return (await lines.next()).value
}

const customer = await stripe.customers.create({ name: 'Ada & Co', email: 'ada@harbour.example', metadata: { berth_tenant: 'ten_1' } })
assert.equal((await stripe.customers.retrieve(customer.id)).metadata.berth_tenant, 'ten_1')
const found = await stripe.prices.list({ lookup_keys: ['starter', 'nothing'] })
assert.deepEqual(found.data.map((one) => one.id), [price])

const wish = {
  mode: 'subscription', customer: customer.id, line_items: [{ price, quantity: 1 }], client_reference_id: 'ten_1',
  subscription_data: { trial_period_days: 7, metadata: { berth_tenant: 'ten_1' } },
  success_url: 'https://berth.example/paid?c={CHECKOUT_SESSION_ID}', cancel_url: 'https://berth.example/',
}
const once = { idempotencyKey: 'key-of-a-checkout' }
const session = await stripe.checkout.sessions.create(wish, once)
const again = await stripe.checkout.sessions.create(wish, once)
assert.equal(again.id, session.id)
assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true')
await assert.rejects(stripe.checkout.sessions.create({ ...wish, cancel_url: 'https://other.example/' }, once),
  (error) => error instanceof Stripe.errors.StripeIdempotencyError)
const subscription = await ask(`pay ${session.id}`)
const done = await stripe.checkout.sessions.retrieve(session.id)
assert.deepEqual([done.status, done.payment_status, done.subscription], ['complete', 'no_payment_required', subscription])

const portal = await stripe.billingPortal.sessions.create({ customer: customer.id, return_url: 'https://berth.example/' })
assert.match(portal.url, /\/p\/session\/bps_/)
for (let n = 0; n < 4; n++) {
  const more = await stripe.checkout.sessions.create(wish)
  await ask(`pay ${more.id}`)
}
const all = await stripe.subscriptions.list({ customer: customer.id, status: 'all', limit: 2 }).autoPagingToArray({ limit: 100 })
assert.equal(new Set(all.map((one) => one.id)).size, 5)
assert.ok(all.every((one) => one.items.data[0].price.id === price && one.status === 'trialing'))

const leaving = await stripe.subscriptions.update(subscription, { cancel_at_period_end: true })
assert.deepEqual([leaving.cancel_at_period_end, leaving.cancel_at], [true, leaving.items.data[0].current_period_end])
const over = await stripe.subscriptions.cancel(subscription)
assert.equal(over.status, 'canceled')
await assert.rejects(stripe.subscriptions.cancel(subscription), (error) => error.statusCode === 404 && error.code === 'resource_missing')

const events = await stripe.events.list({ limit: 3, created: { gte: customer.created } }).autoPagingToArray({ limit: 1000 })
assert.equal(events.at(-1).type, 'customer.created')
assert.ok(events.some((event) => event.type === 'customer.subscription.deleted' && event.data.object.id === subscription))

await assert.rejects(stripe.customers.retrieve('cus_nobody'), (error) => error instanceof Stripe.errors.StripeInvalidRequestError)
await assert.rejects(stripe.customers.create({ nonsense: 1 }), (error) => error.code === 'parameter_unknown')
await assert.rejects(new Stripe('sk_test_wrong', options).customers.list(), (error) => error instanceof Stripe.errors.StripeAuthenticationError)
await ask('limit 1')
await assert.rejects(stripe.customers.list(), (error) => error instanceof Stripe.errors.StripeRateLimitError)
await ask('fail 1')
await assert.rejects(stripe.customers.list(), (error) => error instanceof Stripe.errors.StripeAPIError)
console.log('well')
process.exit(0)
