// The cases: a name, a function that runs in the page, and a check of its result that runs here. The function
// gets the helpers and the address of the API. Its text is sent to the browser, so it uses nothing else.
import assert from "node:assert/strict";

export const helpers = async () => ({
  token: async (api, seconds) => (await fetch(`${api}/token/${seconds}`)).text(),
  protocol: (token) =>
    "base64url.bearer.authorization.api.example.com." +
    btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""),
  // What happens to a WebSocket until it is closed. `messages` are sent when it is open.
  socket: (api, path, protocols, messages = []) =>
    new Promise((done) => {
      const seen = { opened: false, protocol: null, messages: [] };
      const socket = new WebSocket(api.replace("http:", "ws:") + path, protocols);
      socket.onopen = () => {
        Object.assign(seen, { opened: true, protocol: socket.protocol });
        for (const message of messages) socket.send(message);
      };
      socket.onmessage = ({ data }) => seen.messages.push(data);
      socket.onclose = ({ code, reason }) => done({ ...seen, code, reason });
    }),
});

const expired = { code: 1008, reason: "the token expired" };
const failed = { opened: false, protocol: null, messages: [], code: 1006, reason: "" };

export const cases = [
  [
    "a WebSocket with its token in a subprotocol passes, and ends with the token",
    async (h, api) => h.socket(api, "/ws", ["echo.v1", h.protocol(await h.token(api, 3))], ["one"]),
    (seen) =>
      assert.deepEqual(seen, {
        opened: true,
        protocol: "echo.v1",
        messages: ["hello, alice", "one"],
        ...expired,
      }),
  ],
  [
    "a WebSocket with a wrong token fails",
    async (h, api) => h.socket(api, "/ws", ["echo.v1", h.protocol((await h.token(api, 3)) + "x")]),
    (seen) => assert.deepEqual(seen, failed),
  ],
  [
    "a WebSocket with an expired token fails",
    async (h, api) => h.socket(api, "/ws", ["echo.v1", h.protocol(await h.token(api, 0))]),
    (seen) => assert.deepEqual(seen, failed),
  ],
  [
    "a WebSocket without another subprotocol fails",
    async (h, api) => h.socket(api, "/ws", [h.protocol(await h.token(api, 3))]),
    (seen) => assert.deepEqual(seen, failed),
  ],
  [
    "a WebSocket without a token fails",
    async (h, api) => h.socket(api, "/ws", ["echo.v1"]),
    (seen) => assert.deepEqual(seen, failed),
  ],
  [
    "a WebSocket whose first message is its token passes, and ends with the token",
    async (h, api) => h.socket(api, "/by-message", [], [await h.token(api, 3), "one"]),
    (seen) =>
      assert.deepEqual(seen, {
        opened: true,
        protocol: "",
        messages: ["hello, alice", "one"],
        ...expired,
      }),
  ],
  [
    "a WebSocket whose first message is a wrong token is closed",
    async (h, api) => h.socket(api, "/by-message", [], [await h.token(api, 0), "one"]),
    (seen) =>
      assert.deepEqual(seen, {
        opened: true,
        protocol: "",
        messages: [],
        code: 1008,
        reason: "invalid token",
      }),
  ],
  [
    "the challenge of a 401 is read across origins",
    async (h, api) => {
      const ask = async (headers) => {
        const response = await fetch(`${api}/events`, { headers });
        return [response.type, response.status, response.headers.get("www-authenticate")];
      };
      return [await ask({}), await ask({ authorization: "Bearer wrong" })];
    },
    ([anonymous, wrong]) => {
      assert.deepEqual(anonymous.slice(0, 2), ["cors", 401]);
      assert.match(anonymous[2], /^Bearer realm="https:\/\/api.example.com", resource_metadata="[^"]*"$/);
      assert.deepEqual(wrong.slice(0, 2), ["cors", 401]);
      assert.match(wrong[2], /^Bearer realm="[^"]*", error="invalid_token"/);
    },
  ],
  [
    "the metadata that the challenge names is read across origins",
    async (h, api) => {
      const refused = await fetch(`${api}/events`);
      const url = refused.headers.get("www-authenticate").match(/resource_metadata="([^"]*)"/)[1];
      // The proxy of this API is missing here, so the host is another one.
      const response = await fetch(api + new URL(url).pathname);
      return { url, type: response.type, status: response.status, document: await response.json() };
    },
    ({ url, type, status, document }) => {
      assert.equal(url, "https://api.example.com/.well-known/oauth-protected-resource");
      assert.deepEqual([type, status], ["cors", 200]);
      assert.equal(document.resource, "https://api.example.com");
      assert.match(document.authorization_servers[0], /^http:\/\/127.0.0.1:/);
    },
  ],
  [
    "a stream of events ends with the token, and its last message says so",
    async (h, api) => {
      const token = await h.token(api, 3);
      const headers = { authorization: `Bearer ${token}` };
      const events = await (await fetch(`${api}/events`, { headers })).text();
      // The token has expired when the stream ends, and not before.
      const again = await fetch(`${api}/events`, { headers });
      return { events, again: again.status };
    },
    ({ events, again }) => {
      assert.match(events, /^data: 0\n\ndata: 1\n\n/);
      assert.match(events, /\n\nevent: expired\ndata: [^\n]+\n\n$/);
      assert.equal(again, 401);
    },
  ],
];
