// Two client libraries that know DPoP, in one form: oauth4webapi, and openid-client.

import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

// The requests to APIs, as they went over the wire.
export const sent = [];

export async function record(url, options) {
  const response = await fetch(url, options);
  sent.push({ url, method: options.method, headers: options.headers, status: response.status });
  return response;
}

// This library says that a nonce is needed, and has remembered it. Its caller repeats the request.
async function withNonce(send) {
  try {
    return await send();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return send();
  }
}

async function oauth4webapi(issuer) {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const client = { client_id: 'app' };
  const url = new URL(issuer);
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure));
  const authentication = oauth.ClientSecretBasic('app-secret');
  return {
    name: 'oauth4webapi',
    // What makes the proofs of a key. `change` may change the header and the claims of each.
    proofs(keys, { change, clockSkew = 0 } = {}) {
      const options = change && { [oauth.modifyAssertion]: change };
      return oauth.DPoP({ ...client, [oauth.clockSkew]: clockSkew }, keys, options);
    },
    token: (parameters, DPoP) => withNonce(async () => {
      const response = await oauth.clientCredentialsGrantRequest(
        as, client, authentication, new URLSearchParams(parameters), { ...insecure, DPoP });
      return oauth.processClientCredentialsResponse(as, client, response);
    }),
    call: (method, url, token, DPoP) => withNonce(() => oauth.protectedResourceRequest(
      token, method, new URL(url), new Headers(), null, { ...insecure, DPoP, [oauth.customFetch]: record })),
  };
}

// This library repeats a request by itself.
async function openidClient(issuer) {
  const authentication = openid.ClientSecretBasic('app-secret');
  const configured = (metadata) => openid.discovery(
    new URL(issuer), 'app', metadata, authentication, { execute: [openid.allowInsecureRequests] });
  const config = await configured();
  const skewed = new Map();
  for (const seconds of [-120, 120]) skewed.set(seconds, await configured({ [openid.clockSkew]: seconds }));
  return {
    name: 'openid-client',
    proofs(keys, { change, clockSkew = 0 } = {}) {
      const options = change && { [openid.modifyAssertion]: change };
      return openid.getDPoPHandle(skewed.get(clockSkew) ?? config, keys, options);
    },
    token: (parameters, DPoP) => openid.clientCredentialsGrant(config, parameters, { DPoP }),
    async call(method, url, token, DPoP) {
      config[openid.customFetch] = record;
      try {
        return await openid.fetchProtectedResource(config, token, new URL(url), method, null, undefined, { DPoP });
      } finally {
        config[openid.customFetch] = undefined;
      }
    },
  };
}

export const libraries = [oauth4webapi, openidClient];
export const generateKeys = (algorithm) => oauth.generateKeyPair(algorithm);
