// npm's oauth2-mock-server on a free port of this machine. Its tokens have what the request asks for:
// `scope` and `aud`. Prints its issuer.

import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
// An hour ago, so that no leeway helps.
server.service.on('beforeTokenSigning', (token, request) => {
  if (!request.body.scope?.includes('expired')) return;
  token.payload.iat -= 7200;
  token.payload.exp = token.payload.iat + 3600;
});
await server.start(0, '127.0.0.1');
// What the server makes of its own address has the name that was listened on, or `localhost`.
console.log(`issuer ${server.issuer.url}`);
