// A bot of grammY's, as its documentation has it, against the Bot API at the address given: it polls, answers every
// message, and ends when told to. What the API gets wrong, grammY throws.
import { Bot, GrammyError } from "grammy";

const [apiRoot, token, revoked] = process.argv.slice(2);

const bot = new Bot(token, { client: { apiRoot } });
bot.command("stop", async (context) => {
  await context.reply("ending");
  await bot.stop();
});
bot.on("message:text", async (context) => {
  const words = `${context.from.first_name} said: ${context.message.text}`;
  for (;;) {
    try {
      return await context.reply(words);
    } catch (error) {
      // Polling waits by itself as long as it is told; who sends has to do so too.
      if (!(error instanceof GrammyError) || error.error_code !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.parameters.retry_after * 1000));
    }
  }
});

const stranger = new Bot(revoked, { client: { apiRoot } });
const refused = await stranger.api.getMe().catch((error) => error);
if (!(refused instanceof GrammyError) || refused.error_code !== 401) throw new Error(`not refused: ${refused}`);

await bot.api.setMyCommands([{ command: "stop", description: "End" }]);
const commands = await bot.api.getMyCommands();
if (commands.length !== 1 || commands[0].command !== "stop") throw new Error("the commands were not kept");

await bot.api.setWebhook("https://bots.example.org/hook");
if ((await bot.api.getWebhookInfo()).url !== "https://bots.example.org/hook") throw new Error("the webhook was not kept");
const conflict = await bot.api.getUpdates().catch((error) => error);
if (!(conflict instanceof GrammyError) || conflict.error_code !== 409) throw new Error(`no conflict: ${conflict}`);

// It takes the webhook away, and then polls until the word "stop".
await bot.start({ onStart: (me) => console.log(`polling as ${me.username}`) });
const pending = await bot.api.getUpdates({ offset: -1, timeout: 0 }).catch((error) => error);
if (!Array.isArray(pending)) throw new Error(`after the end: ${pending}`);
console.log("ended");
