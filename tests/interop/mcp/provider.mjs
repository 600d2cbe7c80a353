// An authorization server on a free port of this machine: npm's oidc-provider, with one client and one user, who
// agrees to everything. It issues JWTs for any resource. Prints its issuer.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const scope = 'notes notes:delete notes:archive:7 notes:read:7 notes:admin notes:summary';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const configuration = {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'ec', use: 'sig' }] },
  clients: [
    {
      client_id: 'agent',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, audience) => ({
        scope,
        audience,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
};

// The pages of a login: this user has no password, and gives each scope that the client asks for.
async function interaction(provider, request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
    return;
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addResourceScope(params.resource, params.scope);
  const result = { consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  const callback = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    return interaction(provider, request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  console.log(`issuer ${issuer}`);
});
