// Another vendor of others: `node oauth2_mock_server.mjs`. Prints its issuer.
// Its tokens are forged as the code's own words say: a code that ends in `+name` is answered with that forgery.
import { OAuth2Server } from "oauth2-mock-server";

const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");
await server.issuer.keys.generate("ES256");
await server.start(0, "127.0.0.1");
const issuer = `http://127.0.0.1:${server.address().port}`;
server.issuer.url = issuer;
const now = () => Math.floor(Date.now() / 1000);
const forgeries = {
  aud: (t) => (t.payload.aud = "somebody-else"),
  iss: (t) => (t.payload.iss = "https://accounts.google.com"),
  exp: (t) => (t.payload.exp = now() - 3600),
  iat: (t) => (t.payload.iat = now() + 3600),
  nonce: (t) => (t.payload.nonce = "another"),
  sub: (t) => (t.payload.sub = ""),
  kid: (t) => (t.header.kid = "unknown"),
};
server.service.on("beforeTokenSigning", (token, request) => {
  // The access token is none of ours.
  if (!("nonce" in token.payload)) return;
  token.payload.email = "joan@harbour.example";
  token.payload.email_verified = true;
  forgeries[request.body.code?.split("+")[1]]?.(token);
});
console.log(issuer);
