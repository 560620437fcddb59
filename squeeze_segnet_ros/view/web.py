"""Rerun's web viewer on an address of ours: one port, and nothing is fetched from anywhere else.

Rerun's own server listens on loopback, at ports that nobody needs to know, and keeps the latest frames for
pages that open later. In front of it stands a small one, since Rerun's page asks the net for fonts, for news
of itself and to count its users: it hands on the page without that, and what the page reads, and refuses all
else.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.view.layout import library

LOOPBACK = "127.0.0.1"
PORT = 9090
MEMORY_MB = 256
"""What the server keeps for pages that open later, in MB; the oldest goes first."""
_START_S = 30.0
_STALLED_S = 20.0
"""A page that takes nothing for so long is given up: Rerun's server waits for its slowest page."""
_READ = "/rerun.sdk_comms.v1alpha1.MessageProxyService/ReadMessages"
_GRPC = re.compile(r"Listening for gRPC connections on [\d.]+:(\d+)")
_HTTP = re.compile(r"Hosting a web-viewer at http://[\d.]+:(\d+)")
_FROM_ELSEWHERE = re.compile(rb"<link\b[^>]*https?://[^>]*>")
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PASSED_ON = ("content-type", "content-encoding", "rerun-final-length", "grpc-status", "grpc-message")
_BLOCK = 2**16


class WebViewer:
    """Rerun's web viewer, served until its context is left.

    Args:
        bind: the IP address to listen on.
        port: the port; 0 for any that is free.
        memory_mb: what is kept for pages that open later.

    Raises:
        ConfigError: Rerun is not installed, the port is taken, or this computer has no such address.
    """

    def __init__(self, bind: str = LOOPBACK, port: int = PORT, memory_mb: int = MEMORY_MB) -> None:
        library()
        self._stack = ExitStack()
        try:
            self._front = _Front(bind, port)
            self._stack.callback(self._front.server_close)
            self._rerun = self._stack.enter_context(_Rerun(memory_mb))
            self._front.grpc_port, self._front.page_port = self._rerun.grpc_port, self._rerun.page_port
            threading.Thread(target=self._front.serve_forever, name="web viewer", daemon=True).start()
            self._stack.callback(self._front.shutdown)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> WebViewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """What to open in a browser on this computer."""
        host, port = str(self._front.server_address[0]), self._front.server_address[1]
        if host == LOOPBACK or ipaddress.ip_address(host).is_unspecified:
            host = "localhost"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def url(self) -> str:
        """Where a recording connects to."""
        return f"rerun+http://{LOOPBACK}:{self._rerun.grpc_port}/proxy"

    @property
    def is_running(self) -> bool:
        """Whether Rerun's server has not ended."""
        return self._rerun.is_running


class _Rerun:
    """Rerun's server process."""

    def __init__(self, memory_mb: int) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="view_")
        # It is asked not to tell its makers that it is used, whatever the user's own settings are.
        settings = Path(self._home.name, "rerun", "analytics.json")
        settings.parent.mkdir()
        place = {"config_file_path": str(settings), "data_dir_path": str(settings.parent)}
        settings.write_text(
            json.dumps({"analytics_enabled": False, "analytics_id": "", "metadata": {}, **place})
        )
        ports = [str(_free_port()) for _ in range(2)]
        command = [
            str(_executable()), "--serve-web", "--bind", LOOPBACK,
            "--port", ports[0], "--web-viewer-port", ports[1],
            "--server-memory-limit", f"{memory_mb}MB", "--newest-first", "--hide-welcome-screen",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C is for us: we end it once the last frame is through.
            start_new_session=True,
            preexec_fn=_end_with_parent,
            env=os.environ | {"XDG_CONFIG_HOME": self._home.name, "XDG_DATA_HOME": self._home.name},
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="rerun", daemon=True)
        self._reader.start()
        try:
            self.grpc_port, self.page_port = self._wait_for(_GRPC), self._wait_for(_HTTP)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> _Rerun:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        self._process.kill()
        self._process.wait()
        self._home.cleanup()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if len(self._lines) < 100:
                self._lines.append(re.sub(r"\x1b\[\d*m", "", line.strip()))

    def _wait_for(self, words: re.Pattern[str]) -> int:
        deadline = time.monotonic() + _START_S
        while True:
            ended = not self.is_running
            found = next(filter(None, map(words.search, list(self._lines))), None)
            if found:
                return int(found[1])
            if ended or time.monotonic() > deadline:
                last = self._lines[-1] if self._lines else "it printed nothing"
                raise ConfigError(f"Rerun's server did not start: {last}")
            time.sleep(0.02)


def _executable() -> Path:
    # The one of the same wheel, whatever else is called so on the path.
    return Path(library().__file__).parents[1] / "rerun_cli" / "rerun"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def _end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is gone, however it went."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, of Linux


class _Front(ThreadingHTTPServer):
    """What browsers talk to."""

    daemon_threads = True
    allow_reuse_address = True
    grpc_port = page_port = 0

    def __init__(self, bind: str, port: int) -> None:
        try:
            address = ipaddress.ip_address(bind)
        except ValueError:
            raise ConfigError(
                f"--bind is '{bind}': give an IP address, such as 127.0.0.1 or 0.0.0.0"
            ) from None
        if not 0 <= port <= 65535:
            raise ConfigError(f"--port is {port}: give a number up to 65535")
        self.address_family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self.is_private = address.is_loopback
        try:
            super().__init__((bind, port), _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {port} of {bind} is taken: give another one with --port") from None
            reason = error.strerror or error
            raise ConfigError(f"cannot listen on {bind}, port {port}: {reason}") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page that is closed breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    server: _Front
    timeout = _STALLED_S

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if not self._is_meant():
            return
        path = urlsplit(self.path)
        if path.path == "/" and "url" not in parse_qs(path.query):
            # The page reads by the name that the browser has for this computer.
            place = quote(f"rerun+http://{self.headers.get('Host', '')}/proxy", safe="")
            self.send_response(302)
            self.send_header("Location", f"/?url={place}&hide_welcome_screen")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path.path == "/proxy":
            self.send_error(404)
            return
        self._hand_on("GET", self.server.page_port, path.path, b"")

    def do_POST(self) -> None:
        if not self._is_meant():
            return
        # Whoever looks may not write: what is shown comes from us.
        if self.path != _READ:
            self.send_error(404)
            return
        length = min(int(self.headers.get("Content-Length", 0)), _BLOCK)
        self._hand_on("POST", self.server.grpc_port, self.path, self.rfile.read(length))

    def _is_meant(self) -> bool:
        """Refuse pages of others that reach this computer under a name of theirs, or ask across."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        origin = urlsplit(self.headers.get("Origin", "")).netloc
        is_ours = host == "localhost" or _is_loopback(host) or not self.server.is_private
        if is_ours and origin in ("", self.headers.get("Host")):
            return True
        self.send_error(403)
        return False

    def _hand_on(self, method: str, port: int, path: str, body: bytes) -> None:
        headers = {
            name: self.headers[name]
            for name in ("Accept", "Accept-Encoding", "Content-Type", "X-Grpc-Web")
            if name in self.headers
        }
        upstream = HTTPConnection(LOOPBACK, port)
        try:
            upstream.request(method, path, body, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in _PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if path == "/":
                self.wfile.write(_FROM_ELSEWHERE.sub(b"", answer.read()))
            else:
                self._copy(answer)
        # The page was closed, or stalled; or our own end is near.
        except (OSError, HTTPException):
            self.close_connection = True
        finally:
            upstream.close()

    def _copy(self, answer: HTTPResponse) -> None:
        while block := answer.read1(_BLOCK):
            self.wfile.write(block)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
