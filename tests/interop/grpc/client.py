"""Calls the example `grpc` by grpcio, with messages as octets. The addresses and tokens are in the environment."""

import os
import re

import grpc

reader, writer, foreign = (os.environ[name] for name in ("reader", "writer", "foreign"))
down_reader, down_writer = (os.environ[name] for name in ("down_reader", "down_writer"))
up, down = (grpc.insecure_channel(os.environ[name]) for name in ("up", "down"))
DEADLINE = 20
# The messages `NoteId { id: "1" }`, `NoteId { id: "2" }`, `Note { id: "1" }`, `Imported { count: 3 }`.
FIRST, SECOND, NOTE, THREE = b"\x0a\x011", b"\x0a\x012", b"\x0a\x011", b"\x08\x03"


def metadata(tokens):
    return [("authorization", f"Bearer {token}") for token in tokens]


# Each kind of call returns the number of messages, or raises the status.
def unary(channel, *tokens, message=FIRST, method="Get"):
    call = channel.unary_unary(f"/notes.v1.Notes/{method}")
    call(message, metadata=metadata(tokens), timeout=DEADLINE)
    return 1


def from_server(channel, *tokens):
    call = channel.unary_stream("/notes.v1.Notes/List")
    return len(list(call(b"", metadata=metadata(tokens), timeout=DEADLINE)))


def to_server(channel, *tokens):
    call = channel.stream_unary("/notes.v1.Notes/Import")
    reply = call(iter([NOTE] * 3), metadata=metadata(tokens), timeout=DEADLINE)
    assert reply == THREE, reply
    return 3


def passes(name, call, count):
    assert call() == count, name
    print(f"ok: grpcio: {name}")


def refused(name, call, code, challenge=None):
    try:
        count = call()
    except grpc.RpcError as error:
        found = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
        assert error.code() == code, f"{name}: {error}"
        challenges = [value for key, value in found if key == "www-authenticate"]
        assert len(challenges) == (1 if challenge else 0), f"{name}: {found}"
        if challenge:
            assert re.search(challenge, challenges[0]), f"{name}: {challenges}"
        assert error.details(), name
        print(f"ok: grpcio: {name}: {error.code().name} {error.details()}")
        return
    raise AssertionError(f"{name}: it passed, {count}")


Code = grpc.StatusCode
for name, call, good, other, of_down, count in [
    ("unary", unary, reader, writer, down_reader, 1),
    ("from the server", from_server, reader, writer, down_reader, 1),
    ("to the server", to_server, writer, reader, down_writer, 3),
]:
    passes(name, lambda: call(up, good), count)
    refused(f"{name}, no token", lambda: call(up), Code.UNAUTHENTICATED, r'^Bearer realm="[^"]*", scope="notes:\w+"$')
    refused(f"{name}, for another API", lambda: call(up, foreign), Code.UNAUTHENTICATED, ' error="invalid_token",')
    refused(
        f"{name}, no scope",
        lambda: call(up, other),
        Code.PERMISSION_DENIED,
        ' error="insufficient_scope",.* scope="notes:',
    )
    refused(f"{name}, two tokens", lambda: call(up, good, good), Code.INVALID_ARGUMENT, ' error="invalid_request"')
    refused(f"{name}, outage", lambda: call(down, of_down), Code.UNAVAILABLE)
refused(
    "a refusal of the handler",
    lambda: unary(up, reader, message=SECOND),
    Code.PERMISSION_DENIED,
    r'^Bearer realm="[^"]*"$',
)
refused("a hidden method", lambda: unary(up, reader, method="Delete"), Code.NOT_FOUND)
