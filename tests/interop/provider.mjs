// An authorization server on a free port of this machine: npm's oidc-provider, with a client that
// gets tokens of each kind, and an API that asks about them. A client that proves a key (DPoP) gets tokens that are
// bound to it. Prints its issuer.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const API = 'https://api.example.com';

function key(kid, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig' };
}

// RFC 8707: the resource that a token is asked for says what kind of token it becomes. All but the
// last are the API's.
const jwt = (alg) => ({ audience: API, accessTokenFormat: 'jwt', jwt: { sign: { alg } } });
const opaque = (audience, ttl) => ({ audience, accessTokenFormat: 'opaque', accessTokenTTL: ttl });
const resources = {
  [`${API}/rs256`]: jwt('RS256'),
  [`${API}/es256`]: jwt('ES256'),
  [`${API}/eddsa`]: jwt('EdDSA'),
  [`${API}/expired`]: jwt('RS256'),
  [`${API}/opaque`]: opaque(API, 600),
  [`${API}/short`]: opaque(API, 1),
  'https://other.example.com/opaque': opaque('https://other.example.com', 600),
  'https://other.example.com/rs256': { ...jwt('RS256'), audience: 'https://other.example.com' },
};

const confidential = { redirect_uris: [], response_types: [] };
const configuration = {
  scopes: ['read', 'write'],
  enabledJWA: {
    dPoPSigningAlgValues: ['ES256', 'ES384', 'PS256', 'RS256', 'Ed25519', 'EdDSA'],
  },
  jwks: {
    keys: [
      key('rsa', 'rsa', { modulusLength: 2048 }),
      key('ec', 'ec', { namedCurve: 'P-256' }),
      key('ed', 'ed25519'),
    ],
  },
  clients: [
    {
      ...confidential,
      client_id: 'app',
      client_secret: 'app-secret',
      grant_types: ['client_credentials'],
      scope: 'read write',
    },
    {
      ...confidential,
      client_id: process.env.API_CLIENT_ID,
      client_secret: process.env.API_CLIENT_SECRET,
      grant_types: [],
      introspection_signed_response_alg: 'ES256',
    },
  ],
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    clientCredentials: { enabled: true },
    revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId !== 'app' },
    jwtIntrospection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({ scope: 'read write', ...resources[resource] }),
    },
  },
  formats: {
    customizers: {
      // An hour ago, so that no leeway helps.
      jwt(_, token, { payload }) {
        if (token.resourceServer.identifier() !== `${API}/expired`) return;
        payload.iat -= 7200;
        payload.exp = payload.iat + 3600;
      },
    },
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  console.log(`issuer ${issuer}`);
});
