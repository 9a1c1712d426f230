"""An HTTP server that replaces a service in a test."""

import http.server
import pathlib
import ssl
import sys
import threading

import trustme


def certified(directory):
    """A TLS context for a server on 127.0.0.1, and the file with the authority that its clients have to trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(file := str(pathlib.Path(directory) / "ca.pem"))
    return context, file


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server on the loopback interface.

    `answer` takes the request's handler, with the request's body in `handler.body`. It returns a status, headers and a
    body, or None to close the connection without an answer. With `tls`, an SSL context, the server speaks HTTPS. `accepted`
    is called for each connection."""

    daemon_threads = True

    def __init__(self, answer, tls=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise TCP holds back the second packet of an answer until the first is acknowledged, up to 40 ms.
            disable_nagle_algorithm = True

            def handle_any(self):
                length = int(self.headers.get("content-length", 0))
                chunked = "chunked" in self.headers.get("transfer-encoding", "")
                self.body = self.dechunked() if chunked else self.rfile.read(length)
                if not (answered := answer(self)):
                    self.close_connection = True
                    return
                status, headers, body = answered
                self.send_response(status)
                for name, value in {"content-length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def dechunked(self):
                chunks = []
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            do_GET = do_HEAD = do_POST = do_PUT = handle_any

            def log_message(self, *_):
                pass

        self.errors, self.accepted = [], lambda: None
        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            # The thread of a connection does its handshake, so that connections can be opened at the same time.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def process_request(self, *connection):
        self.accepted()
        super().process_request(*connection)

    def handle_error(self, *_):
        # The client may close the connection early. That is not an error of the test.
        if not isinstance(error := sys.exc_info()[1], OSError):
            self.errors.append(error)

    @property
    def address(self):
        return f"127.0.0.1:{self.server_address[1]}"
