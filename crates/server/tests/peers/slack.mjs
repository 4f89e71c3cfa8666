// Slack's own clients, as its documentation has them, against the Slack at the address given: a socket is opened, every
// message is answered, and it ends when told to. What Slack gets wrong, they throw.
import assert from "node:assert/strict";
import { SocketModeClient } from "@slack/socket-mode";
import { WebClient } from "@slack/web-api";

const [slackApiUrl, botToken, appToken] = process.argv.slice(2);

const refused = (call, word) => assert.rejects(call, (error) => error.data?.error === word);
await refused(new WebClient("xoxb-nobody", { slackApiUrl }).auth.test(), "invalid_auth");
await refused(new WebClient(botToken, { slackApiUrl }).apps.connections.open({ token: botToken }), "not_allowed_token_type");

const web = new WebClient(botToken, { slackApiUrl });
const me = await web.auth.test();
assert.deepEqual([me.user, me.team, me.bot_id], ["scout", "Harbour", "B1"]);
await refused(web.chat.postMessage({ channel: "D0ADA", text: "" }), "no_text");
await refused(web.chat.update({ channel: "D0ADA", ts: "1.1", text: "never said" }), "message_not_found");

const socket = new SocketModeClient({ appToken, clientOptions: { slackApiUrl } });
const ended = new Promise((resolve) => socket.on("disconnected", resolve));
socket.on("message", async ({ event, body, ack }) => {
  await ack();
  assert.deepEqual([event.channel_type, body.type], ["im", "event_callback"]);
  const { user } = await web.users.info({ user: event.user });
  const said = await web.chat.postMessage({ channel: event.channel, text: "…" });
  await web.chat.update({ channel: said.channel, ts: said.ts, text: `${user.name} said: ${event.text}` });
  if (event.text === "stop") await socket.disconnect();
});
await socket.start();
console.log("connected");
await ended;
console.log("ended");
// Its timers would keep the process for half a minute more.
process.exit();
