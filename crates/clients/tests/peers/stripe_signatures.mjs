// Judges signed requests, and signs some, with Stripe's own library: one a line, one answer a line.
import { createInterface } from 'node:readline'
import Stripe from 'stripe'

const text = (hex) => Buffer.from(hex, 'hex')
const said = []
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, moment, secrets, header, body] = line.split(' ')
  if (verb === 'sign') {
    const opts = { timestamp: Number(moment), secret: secrets, payload: text(body).toString() }
    said.push(Stripe.webhooks.generateTestHeaderString(opts))
    continue
  }
  // Whoever replaces a secret asks once for each.
  const taken = secrets.split(',').some((secret) => {
    try {
      const given = header === '-' ? undefined : text(header).toString('latin1')
      return Stripe.webhooks.signature.verifyHeader(text(body), given, secret, 300, undefined, Number(moment))
    } catch {
      return false
    }
  })
  said.push(taken ? 'yes' : 'no')
}
process.stdout.write(said.join('\n') + '\n')
