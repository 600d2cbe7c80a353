// Client libraries get tokens that are bound to a key (DPoP, RFC 9449) from the authorization server, and call the
// APIs. Then the tokens and the proofs are stolen and changed.
//
// node cases.mjs ISSUER APIS SECRETS
//
// APIS is a JSON object with the URL and the log of each API. The credentials that were used are written to the file
// SECRETS.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { answer, ok, passed, passes, raw, refused, statuses, watch } from './checks.mjs';
import { generateKeys, libraries, sent } from './clients.mjs';

const [issuer, given, secrets] = process.argv.slice(2);
const apis = JSON.parse(given);
watch(Object.values(apis));
const [optional, required, signed, elsewhere, off] =
  ['optional', 'required', 'signed', 'elsewhere', 'off'].map((name) => apis[name].url);
const API = 'https://api.example.com';

// What a client sent last.
const captured = () => sent.at(-1).headers;

async function accepted(client) {
  const each = [
    ['ES256'], ['ES384'], ['PS256'], ['RS256'], ['Ed25519'],
    // The name before RFC 9864.
    ['Ed25519', (header) => { header.alg = 'EdDSA'; }],
  ];
  for (const [algorithm, change] of each) {
    const proofs = client.proofs(await generateKeys(algorithm), { change });
    for (const kind of ['es256', 'opaque']) {
      const issued = await client.token({ resource: `${API}/${kind}`, scope: 'read' }, proofs);
      assert.equal(issued.token_type, 'dpop');
      const token = issued.access_token;
      const shown = change ? 'EdDSA' : algorithm;
      const name = `${client.name}: ${shown}: ${kind === 'opaque' ? 'opaque token' : 'JWT'}`;
      const call = (path, method = 'GET') => answer(() => client.call(method, `${optional}${path}`, token, proofs));
      passes(`${name}: no scope asked for`, await call('/api/whoami?no=part&of=htu'));
      passes(`${name}: only bound tokens`, await call('/api/dpop'));
      refused(`${name}: POST, without the scope`, await call('/api/write', 'POST'),
        '403 dpop insufficient_scope', /asks for `write`/);
      if (kind === 'es256') {
        const first = await statuses(() => call('/api/nonce'));
        passes(`${name}: the client gets a nonce, and repeats the request`, first.found);
        assert.deepEqual(first.statuses, [401, 200]);
      }
      const next = await statuses(() => call('/api/nonce'));
      passes(`${name}: the client remembers the nonce`, next.found);
      assert.deepEqual(next.statuses, [200]);
      passes(`${name}: a nonce where none is needed`, await call('/api/dpop'));
      if (algorithm === 'ES256') {
        const at = (api) => answer(() => client.call('GET', `${api}/api/whoami`, token, proofs));
        passes(`${name}: bound tokens are required`, await at(required));
        passes(`${name}: signed introspection answers`, await at(signed));
      }
    }
  }
}

async function introspected(client) {
  const proofs = client.proofs(await generateKeys('ES256'));
  const { access_token: token } = await client.token({ resource: `${API}/opaque`, scope: 'read' }, proofs);
  const { API_CLIENT_ID: id, API_CLIENT_SECRET: secret } = process.env;
  const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
  const response = await fetch(`${issuer}/token/introspection`, {
    method: 'POST', headers: { authorization: `Basic ${basic}` }, body: new URLSearchParams({ token }),
  });
  const body = await response.json();
  assert.equal(body.token_type, 'DPoP');
  assert.equal(body.cnf.jkt, await proofs.calculateThumbprint());
  ok(`${client.name}: the introspection answer has the thumbprint of the key, and the token type`);
}

// A client with a key, tokens that are bound to it, and one that is not.
async function prepared(client, kind) {
  const keys = await generateKeys('ES256');
  const proofs = client.proofs(keys);
  const token = async (scope, own) =>
    (await client.token({ resource: `${API}/${kind}`, scope }, own)).access_token;
  const world = {
    client,
    keys,
    label: `${client.name}: ${kind === 'opaque' ? 'opaque token' : 'JWT'}`,
    token: (scope = 'read', own = proofs) => token(scope, own),
    bound: await token('read', proofs),
    unbound: await token('read', undefined),
    // The library sends a request. Without other options, the token is the bound one.
    call: (path, { api = optional, token: own = world.bound, ...rest } = {}) =>
      answer(() => client.call('GET', `${api}${path}`, own, 'proofs' in rest ? rest.proofs : proofs)),
  };
  return world;
}

const recorded = `${optional}/api/dpop`;

async function replayed({ client, keys, label, token, bound, call }) {
  passes(`${label}: a request that is recorded`, await call('/api/dpop'));
  const used = captured();
  refused(`${label}: it is sent again`, await raw(recorded, used),
    '401 dpop invalid_dpop_proof', /the proof was used before/);
  refused(`${label}: it is sent to another route`, await raw(`${optional}/api/whoami`, used),
    '401 dpop invalid_dpop_proof', /the proof is for the URL/);
  refused(`${label}: it is sent with another method`, await raw(recorded, used, 'HEAD'),
    '401 dpop invalid_dpop_proof', /`htm` is not the method/);
  refused(`${label}: it is sent to another API`, await raw(`${required}/api/dpop`, used),
    '401 dpop invalid_dpop_proof', /the proof is for the URL/);

  // A request that was recorded, and did not arrive: nobody has used its proof.
  const stopped = async () => {
    const change = (_, claims) => { claims.htu = recorded; };
    await call('/api/dpop', { api: elsewhere, proofs: client.proofs(keys, { change }) });
    return captured();
  };
  const fresh = await stopped(), another = await token();
  refused(`${label}: the proof beside another token of the same key`,
    await raw(recorded, { ...fresh, authorization: `DPoP ${another}` }),
    '401 dpop invalid_dpop_proof', /`ath` is not the hash of the token/);
  refused(`${label}: two proofs`, await raw(recorded, { ...fresh, dpop: `${fresh.dpop}, ${fresh.dpop}` }),
    '401 dpop invalid_dpop_proof', /it is not one compact JWS/);
  refused(`${label}: the proof beside Bearer`, await raw(recorded, { ...fresh, authorization: `Bearer ${bound}` }),
    '401 bearer invalid_token', /with the scheme Bearer/);
  passes(`${label}: the same proof, as the client made it`, await raw(recorded, fresh));

  const copied = await stopped();
  const copies = await Promise.all(Array.from({ length: 20 }, () => raw(recorded, copied)));
  assert.deepEqual(copies.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
  ok(`${label}: of 20 copies at once, one passes`);
  const own = await Promise.all(Array.from({ length: 20 }, () => call('/api/dpop')));
  assert.deepEqual(own.map(({ status }) => status), Array(20).fill(200));
  ok(`${label}: 20 requests at once pass, each with its own proof`);
}

async function stolen({ client, label, bound, call }) {
  refused(`${label}: as Bearer`, await call('/api/whoami', { proofs: undefined }),
    '401 bearer invalid_token', /with the scheme Bearer/);
  refused(`${label}: without a proof`, await raw(`${optional}/api/whoami`, { authorization: `DPoP ${bound}` }),
    '401 dpop invalid_dpop_proof', /has no proof/);
  for (const algorithm of ['ES256', 'Ed25519']) {
    const proofs = client.proofs(await generateKeys(algorithm));
    refused(`${label}: with another key, ${algorithm}`, await call('/api/whoami', { proofs }),
      '401 dpop invalid_token', /bound to another key/);
    refused(`${label}: with another key, ${algorithm}, and a nonce`, await call('/api/nonce', { proofs }),
      '401 dpop invalid_token', /bound to another key/);
  }
}

async function misplaced({ client, keys, label, call }) {
  refused(`${label}: the API has another public URL`, await call('/api/whoami', { api: elsewhere }),
    '401 dpop invalid_dpop_proof', /the proof is for the URL/);
  const change = (_, claims) => { claims.htu = `${API}/api/whoami`; };
  passes(`${label}: a proof for that URL`,
    await call('/api/whoami', { api: elsewhere, proofs: client.proofs(keys, { change }) }));
}

async function outOfTime({ client, keys, label, token, call }) {
  for (const clockSkew of [-120, 120]) {
    const proofs = client.proofs(keys, { clockSkew });
    const name = `${label}: a clock that is 120 s ${clockSkew < 0 ? 'slow' : 'fast'}`;
    refused(name, await call('/api/dpop', { proofs }), '401 dpop invalid_dpop_proof', /the proof is out of time/);
    passes(`${name}, with a nonce`, await call('/api/nonce', { proofs }));
  }
  let nonce;
  await token('read', client.proofs(keys, { change: (_, claims) => { nonce = claims.nonce; } }));
  assert.equal(typeof nonce, 'string');
  const foreign = client.proofs(keys, { change: (_, claims) => { claims.nonce = nonce; } });
  refused(`${label}: a nonce of the authorization server`, await call('/api/nonce', { proofs: foreign }),
    '401 dpop use_dpop_nonce', /its nonce is not one of ours/);
}

async function notBound({ label, token, unbound, call }) {
  const bearer = { token: unbound, proofs: undefined };
  passes(`${label}: not bound, as Bearer`, await call('/api/whoami', bearer));
  refused(`${label}: not bound, with a proof`, await call('/api/whoami', { token: unbound }),
    '401 dpop invalid_token', /is not bound to a key/);
  refused(`${label}: not bound, and the route requires it`, await call('/api/dpop', bearer),
    '401 bearer invalid_token', /a token that is bound to a key .* is required/);
  refused(`${label}: not bound, and the API requires it`, await call('/api/whoami', { ...bearer, api: required }),
    '401 bearer invalid_token', /a token that is bound to a key .* is required/);
  refused(`${label}: bound, without the scope`, await call('/api/dpop', { token: await token('write') }),
    '403 dpop insufficient_scope', /asks for `read`/);
}

async function switchedOff({ label, call }) {
  const bound = await call('/api/whoami', { api: off });
  assert.deepEqual([bound.status, ...bound.challenges.map(({ scheme }) => scheme)], [401, 'bearer']);
  ok(`${label}: an API without --dpop`);
  refused(`${label}: an API without --dpop, as Bearer`, await call('/api/whoami', { api: off, proofs: undefined }),
    '401 bearer invalid_token', /sender-constrained .* cannot confirm its sender/);
  assert.equal((await call('/api/dpop', { api: off })).status, 404);
  ok(`${label}: an API without --dpop does not have the route`);
  passes(`${label}: the token is still good`, await call('/api/dpop'));
}

for (const connect of libraries) {
  const client = await connect(issuer);
  await accepted(client);
  await introspected(client);
  for (const kind of ['rs256', 'opaque']) {
    const world = await prepared(client, kind);
    for (const cases of [replayed, stolen, misplaced, outOfTime, notBound, switchedOff]) await cases(world);
  }
}
const credentials = sent.flatMap(({ headers }) => [headers.authorization?.split(' ')[1], headers.dpop]).filter(Boolean);
appendFileSync(secrets, `${[...new Set(credentials)].join('\n')}\n`);
console.log(`${passed()} cases passed`);
