// drive.mjs BROWSER PROFILE API: runs each case of cases.mjs in a page of another origin than the API.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { cases, helpers } from "./cases.mjs";

const [browser, profile, api] = process.argv.slice(2);

// The page. It has nothing: the cases run in it.
const pages = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><title>client</title>");
});
await new Promise((done) => pages.listen(0, "127.0.0.1", done));
const page = `http://127.0.0.1:${pages.address().port}/`;

const child = spawn(browser, [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
  `--user-data-dir=${profile}`,
  "about:blank",
]);
process.on("exit", () => child.kill("SIGKILL"));
let said = "";
const endpoint = await new Promise((found, failed) => {
  child.stderr.on("data", (text) => {
    said += text;
    const line = /DevTools listening on (ws:\S+)/.exec(said);
    if (line) found(line[1]);
  });
  child.on("exit", (code) => failed(new Error(`the browser ended with ${code}\n${said}`)));
});

// The protocol: one socket, an answer for each command.
const socket = new WebSocket(endpoint);
await new Promise((done, failed) => Object.assign(socket, { onopen: done, onerror: failed }));
const waiting = new Map();
socket.onmessage = ({ data }) => {
  const { id, result, error } = JSON.parse(data);
  if (!waiting.has(id)) return;
  const [done, failed] = waiting.get(id);
  waiting.delete(id);
  if (error) failed(new Error(error.message));
  else done(result);
};
let last = 0;
const command = (method, params, sessionId) =>
  new Promise((done, failed) => {
    last += 1;
    waiting.set(last, [done, failed]);
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
  });

const { targetId } = await command("Target.createTarget", { url: page });
const { sessionId } = await command("Target.attachToTarget", { targetId, flatten: true });
// The value of an expression in the page.
const evaluate = async (expression) => {
  const options = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await command("Runtime.evaluate", options, sessionId);
  if (exceptionDetails) {
    throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  }
  return result.value;
};
while ((await evaluate("location.href + document.readyState")) !== `${page}complete`) {
  await new Promise((done) => setTimeout(done, 50));
}

let failures = 0;
for (const [name, run, check] of cases) {
  try {
    const value = await evaluate(`(${helpers})().then((h) => (${run})(h, ${JSON.stringify(api)}))`);
    check(value);
    console.log(`ok: browser: ${name}`);
  } catch (error) {
    failures += 1;
    console.error(`FAILED: browser: ${name}: ${error.message}`);
  }
}
child.removeAllListeners("exit");
process.exit(failures ? 1 : 0);
