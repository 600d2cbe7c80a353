// Calls the example `grpc` by @grpc/grpc-js: client.mjs PROTO. The addresses and tokens are in the environment.
import assert from 'node:assert/strict';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const { reader, writer, foreign, down_reader, down_writer, up, down } = process.env;
const { Notes } = grpc.loadPackageDefinition(loader.loadSync(process.argv[2])).notes.v1;
const connect = (address) => new Notes(address, grpc.credentials.createInsecure());
const notes = connect(up), outage = connect(down);

const bearer = (token) => {
  const metadata = new grpc.Metadata();
  if (token) metadata.add('authorization', `Bearer ${token}`);
  return metadata;
};
const deadline = () => ({ deadline: Date.now() + 20_000 });

// Each kind of call: resolves with the number of messages, rejects with the status.
const unary = (client, token, id = '1') => new Promise((resolve, reject) =>
  client.get({ id }, bearer(token), deadline(), (error) => (error ? reject(error) : resolve(1))));
const fromServer = (client, token) => new Promise((resolve, reject) => {
  let count = 0;
  client.list({}, bearer(token), deadline())
    .on('data', () => { count += 1; }).on('end', () => resolve(count)).on('error', reject);
});
const toServer = (client, token) => new Promise((resolve, reject) => {
  const stream = client.import(bearer(token), deadline(), (error, reply) =>
    (error ? reject(error) : resolve(reply.count)));
  for (let index = 0; index < 3; index += 1) stream.write({ text: 'a note' });
  stream.end();
});

const refused = async (name, call, code, challenge) => {
  const error = await call.then((count) => assert.fail(`${name}: it passed, ${count}`), (error) => error);
  assert.equal(error.code, code, `${name}: ${error}`);
  const found = error.metadata.get('www-authenticate');
  assert.equal(found.length, challenge ? 1 : 0, `${name}: ${found}`);
  if (challenge) assert.match(found[0], challenge, name);
  const [pushback] = error.metadata.get('grpc-retry-pushback-ms');
  const [seconds] = error.metadata.get('retry-after');
  assert.equal(pushback, seconds && `${seconds}000`, name);
  assert.equal(pushback !== undefined, code === grpc.status.UNAVAILABLE, name);
  console.log(`ok: grpc-js: ${name}: ${error.code} ${error.details}`);
};
const passes = async (name, call, count) => {
  assert.equal(await call, count, name);
  console.log(`ok: grpc-js: ${name}`);
};

const { UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, NOT_FOUND } = grpc.status;
for (const [name, call, good, other, ofDown, count] of [
  ['unary', unary, reader, writer, down_reader, 1],
  ['from the server', fromServer, reader, writer, down_reader, 1],
  ['to the server', toServer, writer, reader, down_writer, 3],
]) {
  await passes(name, call(notes, good), count);
  await refused(`${name}, no token`, call(notes), UNAUTHENTICATED, /^Bearer realm="[^"]*", scope="notes:\w+"$/);
  await refused(`${name}, for another API`, call(notes, foreign), UNAUTHENTICATED, / error="invalid_token",/);
  await refused(`${name}, no scope`, call(notes, other), PERMISSION_DENIED, / error="insufficient_scope",.* scope="notes:/);
  await refused(`${name}, outage`, call(outage, ofDown), UNAVAILABLE);
}
await refused('a refusal of the handler', unary(notes, reader, '2'), PERMISSION_DENIED, /^Bearer realm="[^"]*"$/);
await refused('a hidden method', new Promise((resolve, reject) => notes.delete({ id: '1' }, bearer(reader), (error) =>
  (error ? reject(error) : resolve(1)))), NOT_FOUND);
notes.close();
outage.close();
