"""A bare Postgres connection over a socket, for tests that must control when bytes are read."""

from __future__ import annotations

import socket
import struct

from harness import Server


class WireError(Exception):
    """An ErrorResponse; `fields` are keyed by their one-letter codes."""

    def __init__(self, body: bytes):
        parts = body.rstrip(b"\0").split(b"\0")
        self.fields = {part[:1].decode(): part[1:].decode() for part in parts}
        super().__init__(self.fields.get("M"))


class Wire:
    def __init__(self, server: Server, application_name: str = "wire", receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect((server.host, server.port))
        self._buffer = bytearray()
        pairs = {"user": "latentdb", "database": "latentdb", "application_name": application_name}
        body = b"".join(f"{key}\0{value}\0".encode() for key, value in pairs.items()) + b"\0"
        self.socket.sendall(struct.pack("!II", len(body) + 8, 196608) + body)
        self.read_until(b"Z")

    def query(self, sql: str) -> None:
        """Sends `sql` by the simple protocol."""
        self._send(b"Q", sql.encode() + b"\0")

    def query_extended(self, sql: str) -> None:
        """Sends `sql` as parse, bind, describe, execute without a row limit, sync: as drivers do."""
        self._send(b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!H", 0))
        self._send(b"B", b"\0\0" + struct.pack("!HHH", 0, 0, 0))
        self._send(b"D", b"P\0")
        self._send(b"E", b"\0" + struct.pack("!I", 0))
        self._send(b"S", b"")

    def read(self) -> tuple[bytes, bytes]:
        """The next message: its type and body."""
        header = self._take(5)
        return header[:1], self._take(struct.unpack("!I", header[1:])[0] - 4)

    def read_until(self, wanted: bytes) -> bytes:
        while True:
            kind, body = self.read()
            if kind == b"E":
                raise WireError(body)
            if kind == wanted:
                return body

    def drain(self) -> tuple[int, str]:
        """Reads one result to its end without keeping it: bytes of its rows, and the command tag."""
        row_bytes, tag = 0, ""
        while True:
            kind, body = self.read()
            if kind == b"E":
                raise WireError(body)
            if kind == b"D":
                row_bytes += len(body)
            elif kind == b"C":
                tag = body.rstrip(b"\0").decode()
            elif kind == b"Z":
                return row_bytes, tag

    def close(self) -> None:
        self.socket.close()

    def _send(self, kind: bytes, body: bytes) -> None:
        self.socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            received = self.socket.recv(1 << 20)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_) -> None:
        self.close()
