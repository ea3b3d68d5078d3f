"""A server that answers otherwise than a registry: `answering.py KIND`, one of those below, `end` or `names CODE`."""

import http.server
import json
import socket
import sys

PORT = 5060
ERRORS = {
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "rate": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit."),
}
PAGES = {"page": (200, "hello"), "limit": (413, "413 Request Entity Too Large"), "gateway": (502, "502 Bad Gateway")}
PAGES |= {"broken": (500, "500 Internal Server Error"), "unavailable": (503, "503 Service Unavailable")}


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers each request alike, but that of `/v2/` as a registry does."""

    def answer(self) -> None:
        """Send the answer that the first argument names."""
        kind = sys.argv[1]
        if kind == "end":
            self.close_connection = True
            return
        if kind in ERRORS:
            status, code, said = ERRORS[kind]
            media_type, body = "application/json", json.dumps({"errors": [{"code": code, "message": said}]})
        else:
            status, said = PAGES[kind]
            media_type, body = "text/html", f"<html><title>{said}</title></html>"
        if self.path == "/v2/" and kind not in ("gateway", "broken", "unavailable"):
            status, media_type, body = 200, "application/json", "{}"
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 (the names that http.server calls)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answer_names(code: int) -> None:
    """Answer each question for a name with a response code (RFC 1035 section 4.1.1): 3 there is none, 2 a failure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            asked, who = server.recvfrom(512)
            server.sendto(asked[:2] + bytes([0x81, 0x80 | code]) + asked[4:6] + bytes(6) + asked[12:], who)


if __name__ == "__main__":
    if sys.argv[1] == "names":
        answer_names(int(sys.argv[2]))
    http.server.ThreadingHTTPServer(("", PORT), Answering).serve_forever()
