"""What the fixtures on the Python SDKs share: a socket on loopback that is told on standard output, and an end with standard
input."""

import os
import socket
import sys
import threading

import uvicorn

TEXT = "This is a simple text response for testing."
LINK = "https://example.com/sign-in"
WATCHED = "test://watched-resource"
CITIES = ["paris", "park", "party"]


def serve(app):
    """Serves an ASGI application on port PORT (0: any), with its endpoint at /mcp."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    if os.environ.get("EXIT_WITH_STDIN"):
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(f"listening http://127.0.0.1:{bound.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[bound])
