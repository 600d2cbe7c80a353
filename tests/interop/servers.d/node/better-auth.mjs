// better-auth with its OAuth provider on a free port of this machine, with all that it knows in memory:
// JWTs by RFC 9068 for a resource that was asked for (RFC 8707), and introspection of them. Prints its
// issuer.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { oauthProvider } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

const MINE = 'https://api.example.com';
const OTHER = 'https://other.example.com';

const models = [
  'user',
  'session',
  'account',
  'verification',
  'jwks',
  'oauthClient',
  'oauthResource',
  'oauthClientResource',
  'oauthAccessToken',
  'oauthRefreshToken',
  'oauthConsent',
  'oauthClientAssertion',
];

const server = createServer();
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const auth = betterAuth({
    baseURL: issuer,
    basePath: '/',
    secret: randomBytes(32).toString('hex'),
    database: memoryAdapter(Object.fromEntries(models.map((model) => [model, []]))),
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    plugins: [
      jwt(),
      oauthProvider({
        loginPage: '/sign-in',
        consentPage: '/consent',
        scopes: ['read', 'write', 'short'],
        resources: [MINE, OTHER],
        scopeExpirations: { short: '1s' },
      }),
    ],
  });
  const { adapter } = await auth.$context;
  const hashed = (secret) => createHash('sha256').update(secret).digest('base64url');
  for (const [clientId, secret] of [
    ['app', 'app-secret'],
    ['api', process.env.API_CLIENT_SECRET],
    ['stranger', 'stranger-secret'],
  ]) {
    await adapter.create({
      model: 'oauthClient',
      data: {
        clientId,
        clientSecret: hashed(secret),
        name: clientId,
        redirectUris: [],
        scopes: ['read', 'write', 'short'],
        clientCredentialsScopes: ['read', 'write', 'short'],
        grantTypes: ['client_credentials'],
        responseTypes: [],
        tokenEndpointAuthMethod: 'client_secret_basic',
        public: false,
        disabled: false,
        createdAt: new Date(),
        updatedAt: new Date(),
      },
    });
  }
  server.on('request', toNodeHandler(auth));
  // The first request lays down the resources. A client gets tokens for those that it is linked with,
  // and may ask about their tokens.
  await fetch(`${issuer}/.well-known/oauth-authorization-server`);
  for (const [clientId, resourceId] of [
    ['app', MINE],
    ['app', OTHER],
    ['api', MINE],
  ]) {
    await adapter.create({
      model: 'oauthClientResource',
      data: { clientId, resourceId, createdAt: new Date() },
    });
  }
  console.log(`issuer ${issuer}`);
});
