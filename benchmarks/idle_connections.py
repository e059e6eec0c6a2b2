"""10,000 clients that have asked once and stay: memory, and whether others are answered.

Each is a connection of its own that speaks HTTP/2 as gRPC does: preface and settings, one
ServerLive, and at the end a ping, which only a connection that is held answers.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, command_of
from load import load, write_request
from models import write_identity
from smaps import pss_mb

from torchdeploy_pkg import Server

CONNECTIONS = 10_000
SPARE_FILES = 500  # Of the server, beside its connections.
SETTLE_S = 2.0

# Source: RFC 9113, and RFC 7541 for headers without an index.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACKNOWLEDGE, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header(name: bytes, value: bytes) -> bytes:
    """A header of less than 127 bytes, without compression."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


REQUEST = b"".join(
    header(name, value)
    for name, value in {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/inference.GRPCInferenceService/ServerLive",
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }.items()
)
EMPTY_MESSAGE = b"\0\0\0\0\0"


class Connection:
    """A client that has asked once."""

    def __init__(self, url: str) -> None:
        host, port = url.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._received = bytearray()
        self._socket.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0)
            + frame(HEADERS, END_HEADERS, 1, REQUEST)
            + frame(DATA, END_STREAM, 1, EMPTY_MESSAGE)
        )
        self._await(HEADERS, END_STREAM)
        self._socket.sendall(frame(SETTINGS, ACKNOWLEDGE, 0))

    def ping(self) -> None:
        """Ask for a sign of life, and wait for it."""
        self._socket.sendall(frame(PING, 0, 0, b"sentence"))
        self._await(PING, ACKNOWLEDGE)

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()

    def _await(self, kind: int, flag: int) -> None:
        while True:
            got_kind, got_flags = self._next_frame()
            if got_kind == kind and got_flags & flag:
                return

    def _next_frame(self) -> tuple[int, int]:
        length = int.from_bytes(self._read(9)[:3], "big")
        kind, flags = self._received[3], self._received[4]
        self._read(9 + length)
        del self._received[: 9 + length]
        return kind, flags

    def _read(self, size: int) -> bytearray:
        while len(self._received) < size:
            received = self._socket.recv(1 << 16)
            if not received:
                msg = "the server has closed an idle connection"
                raise ConnectionError(msg)
            self._received += received
        return self._received


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), max(hard, count)))


def measure(quick: bool) -> list[Figure]:
    """10,000 clients that have asked once and stay: memory, and whether others are answered."""
    count, seconds = (1000, 0.5) if quick else (CONNECTIONS, 3.0)
    allow_files(count + SPARE_FILES)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as open_ones:
        archive = Path(folder) / "identity.pt"
        write_identity(archive)
        request = write_request(
            Path(folder) / "request", "identity", {"input": np.ones((1, 16), np.float32)}
        )
        with Server(archive) as server:
            before = load(server.url, [request], concurrent=1, seconds=seconds)
            empty_mb = pss_mb(server.process_id or "self")
            clients = []
            for _ in range(count):
                clients.append(Connection(server.url))
                open_ones.callback(clients[-1].close)
            time.sleep(SETTLE_S)
            per_connection_kb = (pss_mb(server.process_id or "self") - empty_mb) * 1024 / count
            during = load(server.url, [request], concurrent=1, seconds=seconds)
            for client in clients:
                client.ping()
    held = Figure("idle connections held", count, count, count, "", CONNECTIONS, at_least=True)
    memory = Figure(
        "memory for each", per_connection_kb, per_connection_kb, per_connection_kb, "KB"
    )
    note = f"{before.p50_us:.0f} us without"
    p50 = Figure(
        "p50 of a request beside them", during.p50_us, during.p50_us, during.p50_us, "us", note=note
    )
    return [held, memory, p50]


if __name__ == "__main__":
    command_of(measure)()
