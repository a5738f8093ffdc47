"""A Docker daemon's side of the wire, on a real Unix socket: answers as it is told, remembers what it was asked."""

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

VERSION = "1.41"
INFO = {"ServerVersion": "20.10", "OSType": "linux", "Architecture": "x86_64", "NCPU": 2, "MemTotal": 8 * 2**30}


class Daemon:
    """`answers` maps `METHOD path`, without version and query, to status and body; the rest is not there.

    A function in their place is called for its answer.
    """

    def __init__(self, path):
        self.answers = {
            "GET /version": (200, {"ApiVersion": VERSION, "Version": "20.10"}),
            "GET /_ping": (200, "OK"),
            "GET /info": (200, INFO),
        }
        self.asked = []
        self.socket = path
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = re.sub(r"^/v[\d.]+|\?.*$", "", self.path)
                asked = f"{self.command} {path}"
                daemon.asked.append(asked)
                answer = daemon.answers.get(asked, (404, {"message": f"no {path} here"}))
                status, body = answer() if callable(answer) else answer
                content = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(0 if status == 204 else len(content)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = answer

            def log_message(self, *_):
                pass

            def address_string(self):
                return "socket"

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self):
        return f"unix://{self.socket}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
