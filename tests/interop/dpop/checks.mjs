// Checks of responses, whether a library or plain `fetch` sent the request.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { record, sent } from './clients.mjs';

// The APIs, with the place of their logs.
let apis = [];
export function watch(all) {
  apis = all;
}

let count = 0;
export const passed = () => count;

export function ok(name) {
  count += 1;
  console.log(`ok: ${name}`);
}

// The response, or the challenges that the library has read.
export async function answer(send) {
  try {
    const response = await send();
    return { status: response.status, challenges: [], body: await response.text() };
  } catch (error) {
    if (error.response === undefined || !Array.isArray(error.cause)) throw error;
    return { status: error.response.status, challenges: error.cause, body: await error.response.text() };
  }
}

// A request without a library, with any headers.
export async function raw(url, headers, method = 'GET') {
  const response = await record(url, { method, headers });
  const fields = response.headers.get('www-authenticate') ?? '';
  const challenges = fields.split(/, (?=DPoP |Bearer )/).filter(Boolean).map((text) => ({
    scheme: text.split(' ')[0].toLowerCase(),
    parameters: Object.fromEntries([...text.matchAll(/([a-z_]+)="([^"]*)"/g)].map((found) => found.slice(1))),
  }));
  return { status: response.status, challenges, body: await response.text() };
}

export function passes(name, found) {
  assert.equal(found.status, 200, `${name}: ${JSON.stringify(found)}`);
  assert.equal(JSON.parse(found.body).client_id, 'app', name);
  ok(name);
}

// `expected` is the status, and the error with the scheme of its challenge. No other challenge has an error. The log of
// the API says why the request was refused.
export function refused(name, found, expected, because) {
  const errors = found.challenges.filter(({ parameters }) => parameters.error !== undefined);
  const shown = errors.map(({ scheme, parameters }) => `${scheme} ${parameters.error}`);
  assert.equal([found.status, ...shown].join(' '), expected, `${name}: ${JSON.stringify(found)}`);
  for (const { scheme, parameters } of found.challenges) {
    if (scheme === 'dpop') assert.match(parameters.algs, /(^| )ES256( |$)/, name);
  }
  const { url, headers } = sent.at(-1);
  const { log } = apis.find((api) => url.startsWith(api.url));
  const reason = readFileSync(log, 'utf8').split('\n').findLast((line) => line.includes('request refused'));
  assert.match(reason, because, name);
  for (const secret of [headers.authorization?.split(' ')[1], headers.dpop]) {
    if (secret) assert.ok(!found.body.includes(secret), `${name}: a credential is in the response`);
  }
  ok(name);
}

// The statuses of the requests that `send` makes.
export async function statuses(send) {
  const before = sent.length;
  const found = await send();
  return { found, statuses: sent.slice(before).map(({ status }) => status) };
}
