// A bot of discord.js's, as its guide has it, against the Discord at the address given: it is on the gateway, answers
// every message, and ends when told to. What Discord gets wrong, discord.js throws.
import assert from "node:assert/strict";
import { Client, Events, GatewayIntentBits, Partials, REST, Routes } from "discord.js";

const [api, token, unread] = process.argv.slice(2);

const rest = new REST({ api, retries: 0 }).setToken(token);
const nobody = new REST({ api, retries: 0 }).setToken("nobodys-token");
await assert.rejects(nobody.get(Routes.user()), { status: 401 });
await assert.rejects(rest.get("/nothing-there"), { status: 404 });
await assert.rejects(rest.post(Routes.channelMessages("1"), { body: { content: "" } }), { code: 50006 });

const intents = [GatewayIntentBits.DirectMessages, GatewayIntentBits.MessageContent];
const bot = () => new Client({ intents, partials: [Partials.Channel], rest: { api } });
// A bot that may not read what is written is shut out, and a token that is none before that.
await assert.rejects(bot().login(unread), /disallowed intents/i);
await assert.rejects(bot().login("nobodys-token"), { code: "TokenInvalid" });

const client = bot();
const ended = new Promise((resolve) => {
  client.on(Events.MessageCreate, async (message) => {
    if (message.author.bot) return;
    const said = await message.channel.send("…");
    await said.edit(`${message.author.globalName} said: ${message.content}`);
    if (message.content === "stop") resolve();
  });
});
client.once(Events.ClientReady, (ready) => console.log(`ready as ${ready.user.username}`));
await client.login(token);
await ended;
await client.destroy();
console.log("ended");
