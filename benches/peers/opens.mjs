// Opens one sealed value as control planes do that derive a key for every record, with Node's own functions.
// Speaks in lines with benches/secrets.py: first prints the value, then answers each `ROUNDS COUNT` with nanoseconds.
import { createCipheriv, createDecipheriv, pbkdf2Sync, randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

const WORDS = Buffer.alloc(128, "k");
const PASSPHRASE = "a passphrase of some length";

function seal(rounds) {
  const [salt, iv] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv("aes-256-gcm", pbkdf2Sync(PASSPHRASE, salt, rounds, 32, "sha256"), iv);
  const body = Buffer.concat([cipher.update(WORDS), cipher.final(), cipher.getAuthTag()]);
  return Buffer.concat([salt, iv, body]).toString("base64");
}

function open(text, rounds) {
  const bytes = Buffer.from(text, "base64");
  const [salt, iv] = [bytes.subarray(0, 16), bytes.subarray(16, 28)];
  const key = pbkdf2Sync(PASSPHRASE, salt, rounds, 32, "sha256");
  const decipher = createDecipheriv("aes-256-gcm", key, iv);
  decipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(28, -16)), decipher.final()]);
}

const sealed = { 100000: seal(100000), 600000: seal(600000) };
console.log(sealed[100000]);
for await (const line of createInterface({ input: process.stdin })) {
  const [rounds, count] = line.split(" ").map(Number);
  const began = process.hrtime.bigint();
  for (let n = 0; n < count; n++) {
    if (!open(sealed[rounds], rounds).equals(WORDS)) throw new Error("it opened to something else");
  }
  console.log(String(process.hrtime.bigint() - began));
}
