// MDN's HTTP Observatory looks at pages: `node observatory.mjs <berth> <certificate> <key> <cookie> <path>...`.
// TLS is a proxy's in production too; here it is this script's, which passes everything on. A line of JSON a page.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import path from "node:path";

const [berth, certificate, key, cookie, ...pages] = process.argv.slice(2);

// What the package would download when it is installed: lists of other people's sites.
const home = path.join(path.dirname(createRequire(import.meta.url).resolve("@mdn/mdn-http-observatory")), "..");
for (const list of ["hsts-preload.json", "tld-list.json"]) {
  const file = path.join(home, "conf", list);
  if (!existsSync(file)) writeFileSync(file, list.startsWith("hsts") ? "{}" : "[]");
}
const { retrieve } = await import(path.join(home, "src/retriever/retriever.js"));
const { ALL_TESTS } = await import(path.join(home, "src/constants.js"));
const { getGradeForScore, getScoreModifier } = await import(path.join(home, "src/grader/grader.js"));
const { MINIMUM_SCORE_FOR_EXTRA_CREDIT } = await import(path.join(home, "src/grader/charts.js"));

const tls = { cert: readFileSync(certificate), key: readFileSync(key) };
const proxy = https.createServer(tls, (request, response) => {
  const onward = http.request(new URL(request.url, berth), { method: request.method, headers: request.headers });
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
});
const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
const httpsPort = await listen(proxy);
const plain = http.createServer((request, response) => {
  response.writeHead(301, { location: `https://localhost:${httpsPort}${request.url}` });
  response.end();
});
const httpPort = await listen(plain);

for (const page of pages) {
  const headers = [`Cookie: ${cookie}`, "Accept: text/html"];
  const seen = await retrieve("localhost", { httpPort, httpsPort, path: page, headers });
  const results = ALL_TESTS.map((test) => test(seen)).filter((result) => result.result);
  const modifiers = results.map((result) => getScoreModifier(result.result));
  const worse = 100 + modifiers.filter((one) => one < 0).reduce((sum, one) => sum + one, 0);
  const all = 100 + modifiers.reduce((sum, one) => sum + one, 0);
  const { score, grade } = getGradeForScore(worse >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? all : worse);
  const failed = results.filter((result) => !result.pass).map((result) => result.result);
  console.log(JSON.stringify({ page, status: seen.responses.auto?.status ?? 0, score, grade, failed }));
}
proxy.close();
plain.close();
process.exit(0);
