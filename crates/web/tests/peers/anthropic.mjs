// Anthropic's own client against the proof model: `node anthropic.mjs <base url> <model key>`.
import assert from "node:assert/strict";
import Anthropic, { AuthenticationError, BadRequestError } from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const nonce = "BERTH-PROOF-0123456789abcdef";
const ask = (content) => ({ model: "berth-proof", max_tokens: 100, messages: [{ role: "user", content }] });

const message = await client.messages.create(ask(`Answer with ${nonce} and nothing else.`));
assert.equal(message.type, "message");
assert.equal(message.role, "assistant");
assert.equal(message.stop_reason, "end_turn");
assert.deepEqual(message.content, [{ type: "text", text: nonce }]);
assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);

const stream = client.messages.stream(ask([{ type: "text", text: "Are you there?" }]));
const seen = [];
let streamed = "";
stream.on("streamEvent", (event) => seen.push(event.type));
stream.on("text", (text) => (streamed += text));
const final = await stream.finalMessage();
assert.equal(seen[0], "message_start");
assert.equal(seen.at(-1), "message_stop");
assert.equal(final.stop_reason, "end_turn");
assert.equal(final.content[0].text, streamed);
assert.match(streamed, /not an AI[^]*Are you there\?$/);

const counted = await client.messages.countTokens({ model: "berth-proof", messages: ask("hello").messages });
assert.ok(counted.input_tokens > 0);

await assert.rejects(client.messages.create({ model: "m", max_tokens: 1, messages: [{ role: "user", content: 5 }] }), BadRequestError);
const stranger = new Anthropic({ baseURL, apiKey: "berth_llm_nobody", maxRetries: 0 });
await assert.rejects(stranger.messages.create(ask("x")), AuthenticationError);
console.log("ok");
