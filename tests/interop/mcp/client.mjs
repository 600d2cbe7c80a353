// The official MCP client knows only the URL of the server. It finds the metadata from the 401, gets a token from
// the authorization server that the metadata names, calls a tool, and gets another token where a tool needs more.
//
// node client.mjs URL ISSUER

import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, issuer] = process.argv.slice(2);
const redirectUrl = 'http://127.0.0.1/callback';
const seen = [];
const scopes = [];

// Records what goes over the wire.
async function record(input, init) {
  const response = await fetch(input, init);
  seen.push({
    path: new URL(input).pathname,
    method: init?.method ?? 'GET',
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
  });
  return response;
}

// The browser of the user: follows redirects with its cookies, up to the one back to the client.
const cookies = new Map();
async function browse(from) {
  let at = from;
  for (let redirects = 0; !at.href.startsWith(redirectUrl); redirects += 1) {
    assert.ok(redirects < 20, `no end of redirects: ${at}`);
    assert.equal(at.origin, issuer);
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const response = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      if (value.join('=') === '') cookies.delete(name);
      else cookies.set(name, value.join('='));
    }
    assert.ok([302, 303].includes(response.status), `${at}: ${response.status} ${await response.text()}`);
    at = new URL(response.headers.get('location'), at);
  }
  return at.searchParams.get('code');
}

// What the client remembers, and how it sends the user to the authorization server.
let code, tokens, verifier;
const authProvider = {
  redirectUrl,
  clientMetadata: { redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' },
  clientInformation: () => ({ client_id: 'agent', issuer }),
  tokens: () => tokens,
  saveTokens: (got) => { tokens = got; },
  codeVerifier: () => verifier,
  saveCodeVerifier: (made) => { verifier = made; },
  async redirectToAuthorization(location) {
    scopes.push(location.searchParams.get('scope'));
    assert.equal(location.searchParams.get('resource'), url);
    code = await browse(location);
  },
};
const client = new Client({ name: 'interop', version: '1.0.0' });
let transport = new StreamableHTTPClientTransport(new URL(url), { authProvider, fetch: record });

// Runs again after the login that the client has asked for.
async function withLogin(run) {
  try {
    return await run();
  } catch (error) {
    assert.ok(error instanceof UnauthorizedError, String(error));
    await transport.finishAuth(code);
    return run();
  }
}
const step = async (name, run) => {
  seen.length = 0;
  scopes.length = 0;
  await run();
  console.log(`ok: ${name}`);
};
const statuses = (path, method = 'POST') =>
  seen.filter((one) => one.path === path && one.method === method).map((one) => one.status);
const mcp = new URL(url).pathname;

await step('a client finds the metadata from the 401, and gets a token for the scope of the challenge', async () => {
  await withLogin(async () => {
    if (tokens) transport = new StreamableHTTPClientTransport(new URL(url), { authProvider, fetch: record });
    await client.connect(transport);
  });
  assert.equal(seen[0].status, 401);
  const document = new URL(`/.well-known/oauth-protected-resource${mcp}`, url);
  assert.match(seen[0].challenge, new RegExp(`resource_metadata="${document}"`));
  // Before the login, and after it.
  assert.deepEqual(statuses(document.pathname, 'GET'), [200, 200]);
  assert.deepEqual(scopes, ['notes']);
});

await step('it calls a tool', async () => {
  const { content } = await client.callTool({ name: 'whoami', arguments: {} });
  assert.equal(content[0].text, 'alice');
  assert.deepEqual(statuses(mcp), [200]);
});

// Each needs a scope that the token does not have yet.
for (const [name, scope, ask, expected] of [
  ['a tool with a scope of its own', 'notes notes:delete',
    () => client.callTool({ name: 'delete_note', arguments: { id: '7' } }), 'note 7 is deleted'],
  ['a tool that asks for a scope itself', 'notes notes:archive:7',
    () => client.callTool({ name: 'archive_note', arguments: { id: '7' } }), 'note 7 is archived'],
  ['a resource template', 'notes notes:read:7',
    () => client.readResource({ uri: 'note://7' }), 'the text of note://7'],
  ['a static resource', 'notes notes:admin',
    () => client.readResource({ uri: 'config://app' }), 'the text of config://app'],
  ['a prompt', 'notes notes:summary', () => client.getPrompt({ name: 'summary' }), 'Sum up my notes.'],
]) {
  await step(`it meets a 403, steps up, and asks again: ${name}`, async () => {
    const answer = await withLogin(ask);
    const text = (answer.content ?? answer.contents)?.[0].text ?? answer.messages[0].content.text;
    assert.equal(text, expected);
    assert.deepEqual(statuses(mcp), [403, 200]);
    assert.deepEqual(scopes, [scope]);
    assert.match(seen[0].challenge, /error="insufficient_scope"/);
  });
}

await step('a tool that is not listed stays refused', async () => {
  await assert.rejects(client.callTool({ name: 'drop_all', arguments: {} }));
  assert.deepEqual(statuses(mcp), [403]);
});
await client.close();
