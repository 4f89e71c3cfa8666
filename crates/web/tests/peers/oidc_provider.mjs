// The certified vendor of others: `node oidc_provider.mjs <redirect address>`. Prints its issuer.
import Provider from "oidc-provider";
import { createServer } from "node:http";

const server = createServer();
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const email = (id) => ({ email: `${id}@harbour.example`, email_verified: id !== "unverified" });
const provider = new Provider(issuer, {
  clients: [{ client_id: "berth", client_secret: "s3cret/+ %marker", redirect_uris: [process.argv[2]] }],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...email(id) }) }),
});
server.on("request", provider.callback());
console.log(issuer);
