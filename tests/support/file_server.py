"""A server of files on the loopback address that behaves badly where it is told to."""

import contextlib
import dataclasses
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass
class Served:
    """What is answered for one path."""

    content: bytes
    kind: str = "application/octet-stream"
    status: int = 200
    cuts: list[int] = dataclasses.field(default_factory=list)  # of each answer in turn: after so many bytes the connection ends
    ranges: bool = True  # whether a part can be asked for
    chunked: bool = False  # no length is said before
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class FileServer:
    """`files` by path; `asked` is what came, as (method, path, Range or None)."""

    def __init__(self, port):
        self.files, self.asked, self.address = {}, [], f"http://127.0.0.1:{port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        shared, path = self.server.shared, self.path.partition("?")[0]
        asked = self.headers.get("Range")
        shared.asked.append((self.command, path, asked))
        served = shared.files.get(path, Served(b"nothing here", "text/plain", 404))
        tag = f'"{hashlib.md5(served.content, usedforsecurity=False).hexdigest()}"'
        begin, status = 0, served.status
        if served.ranges and asked and (self.headers.get("If-Range") or tag) == tag:
            begin, status = int(asked.removeprefix("bytes=").partition("-")[0]), 206
        content = served.content[begin:]
        self.send_response(status)
        self.send_header("Content-Type", served.kind)
        if served.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(served.content) - 1}/{len(served.content)}")
        for name, value in {"ETag": tag, **served.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        cut = served.cuts.pop(0) if served.cuts else None
        sent = content if cut is None else content[:cut]
        with contextlib.suppress(OSError):  # the other side may have gone
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) if served.chunked and sent else sent)
            if served.chunked and cut is None:
                self.wfile.write(b"0\r\n\r\n")
        if cut is not None:
            self.close_connection = True


@contextlib.contextmanager
def serving():
    """Serves until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.shared = FileServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.shared
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
