"""What stands before the page: only this machine's own browser gets through.

Plain ASGI, so that nothing is read before it is allowed.
"""

import json
import secrets
from urllib.parse import unquote_to_bytes, urlsplit

UPLOAD_BYTES = 512 * 2**20
BODY_BYTES = 4 * 2**20  # of anything but an upload
UPLOAD = "/gradio_api/upload"
CLOSED = (  # rooms of Gradio's that the page does not use
    "/gradio_api/proxy",
    "/gradio_api/monitoring",
    "/gradio_api/runs",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/monitoring",
    "/login",
    "/docs",
    "/redoc",
    "/openapi.json",
)
VISITOR = "etude-visitor"  # the cookie that says whose job is whose
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",  # Gradio's own scripts stand in the page
        b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
        b"frame-ancestors 'self'; form-action 'self'; object-src 'none'",
    ),
)


class TooLarge(Exception):
    """More was sent than may be."""


class Guard:
    """Refuses a foreign Host or Origin, tricks with paths, and too many bytes.

    Args:
        app: the ASGI application behind it.
        hosts: set of str, the names it answers to, with port: ``127.0.0.1:7860``.
        upload_bytes: int, the most that an upload may hold, counted as it comes.
    """

    def __init__(self, app, hosts, *, upload_bytes=UPLOAD_BYTES):
        self.app, self.hosts = app, {host.lower() for host in hosts}
        self.upload_bytes = upload_bytes

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        status, why = self._refusal(scope, headers)
        if status:
            await _refuse(scope, send, status, why)
            return
        limit = self._limit(scope)
        counter = _Counter(receive, limit)
        is_refused = False

        async def told(message):
            nonlocal is_refused
            if counter.is_over:  # whatever the page would say to what was cut off
                if not is_refused:
                    is_refused = True
                    why = f"At most {limit:,} bytes may be sent."
                    await _refuse(scope, send, 413, why)
                return
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                own = [pair for pair in HEADERS if pair[0] not in names]
                own += _greeting(scope, headers)
                message = message | {"headers": [*message["headers"], *own]}
            await send(message)

        try:
            await self.app(scope, counter, told)
        except TooLarge:
            await told({"type": "over"})

    def _limit(self, scope):
        return self.upload_bytes if scope["path"].startswith(UPLOAD) else BODY_BYTES

    def _refusal(self, scope, headers):
        """(status, why) of a request that is refused; (0, "") of one that is not."""
        host = headers.get("host", b"").decode("latin-1").lower()
        if host not in self.hosts:
            return 421, "This page answers to its own address only."
        origin = headers.get("origin", b"").decode("latin-1").lower()
        if origin and not self._is_own(origin):
            return 403, "Another page may not ask this."
        if _is_tricky(scope.get("raw_path") or scope["path"].encode()):
            return 400, "No such path."
        if scope["path"].startswith(CLOSED):
            return 404, "No such page."
        length = headers.get("content-length", b"0")
        if not length.isdigit() or int(length) > self._limit(scope):
            return 413, f"At most {self._limit(scope):,} bytes may be sent."
        return 0, ""

    def _is_own(self, origin):
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "ws") and parts.netloc in self.hosts


def _is_tricky(path):
    """Whether a path, unquoted however often, climbs or holds what no name here does."""
    path = path.split(b"?")[0]
    for _ in range(4):
        parts = path.replace(b"\\", b"/").split(b"/")
        if b".." in parts or any(byte < 32 or byte == 127 for byte in path):
            return True
        if b"\\" in path or path.startswith(b"//"):
            return True
        plain = unquote_to_bytes(path)
        if plain == path:
            return False
        path = plain
    return True


def _greeting(scope, headers):
    """The cookie for a visitor who has none yet, with the page itself."""
    known = f"{VISITOR}=".encode() in headers.get("cookie", b"")
    if scope["type"] != "http" or scope["path"] != "/" or known:
        return []
    cookie = f"{VISITOR}={secrets.token_hex(8)}; Path=/; HttpOnly; SameSite=Strict"
    return [(b"set-cookie", cookie.encode())]


class _Counter:
    """What is received, up to a limit of bytes; then `TooLarge`."""

    def __init__(self, receive, limit):
        self.receive, self.limit, self.seen = receive, limit, 0

    @property
    def is_over(self):
        return self.seen > self.limit

    async def __call__(self):
        message = await self.receive()
        if message["type"] == "http.request":
            self.seen += len(message.get("body", b""))
            if self.is_over:
                raise TooLarge
        return message


async def _refuse(scope, send, status, why):
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    length = [(b"content-length", str(len(body)).encode())]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *length, *HEADERS],
        }
    )
    await send({"type": "http.response.body", "body": body})
