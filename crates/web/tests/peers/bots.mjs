// The bots' own clients ask who they are: `node bots.mjs <telegram url> <token> <discord url> <token>`.
import assert from "node:assert/strict";
import { REST } from "@discordjs/rest";
import { Api, GrammyError } from "grammy";

const [telegramUrl, telegramToken, discordUrl, discordToken] = process.argv.slice(2);
const telegram = (token) => new Api(token, { apiRoot: telegramUrl });
const me = await telegram(telegramToken).getMe();
assert.deepEqual([me.is_bot, me.username], [true, "scout_bot"]);
await assert.rejects(telegram("123456789:nobody-nobody-nobody").getMe(), (error) => error instanceof GrammyError && error.error_code === 401);

const discord = (token) => new REST({ api: discordUrl, version: "10", retries: 0 }).setToken(token);
const bot = await discord(discordToken).get("/users/@me");
assert.deepEqual([bot.bot, bot.username], [true, "scout"]);
await assert.rejects(discord("nobody").get("/users/@me"), { status: 401 });
console.log("ok");
