"""Sample pages over loopback, under the policy that the real console sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from console.rendering import Assets, Rendering
from console.security import CSP
from tests.console.samples import NOW, PAGES

Served = Mapping[str, tuple[str, bytes]]


@cache
def rendered() -> dict[str, str]:
    """Return every sample page by its name."""
    rendering = Rendering(Assets(), lambda: NOW)
    return {page.name: rendering.render(page.template, **page.context) for page in PAGES}


@contextmanager
def showing() -> Iterator[str]:
    """Serve every sample page at `/<name>`; yield where."""
    files = {f"/static/{asset.name}": (asset.content_type, asset.body) for asset in Assets()}
    pages = {
        f"/{name}": ("text/html; charset=utf-8", text.encode()) for name, text in rendered().items()
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files | pages))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = served.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", CSP)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler
