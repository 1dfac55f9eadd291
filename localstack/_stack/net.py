"""Ports, and asking servers how they are. Loopback only."""

import http.client
import json
import socket

HOST = "127.0.0.1"

# The longest a health question may take, seconds.
ASK_S = 2.0


def is_free(port):
    """Whether a server could listen on the port: on loopback, and on all interfaces."""
    for host in (HOST, "0.0.0.0"):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: connections that linger from an earlier server do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(taken=()):
    """A port that is free now and not among those already given out."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        if port not in taken:
            return port


def get_json(port, path):
    """The JSON a server answers with, or None where it does not answer with any."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers_http(port):
    """Whether a server gives any HTTP answer at all."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis(port, *words):
    """A Redis node's answer as text, or None where there is none."""
    request = b"*%d\r\n" % len(words)
    for word in words:
        request += b"$%d\r\n%s\r\n" % (len(word), word.encode())
    try:
        with socket.create_connection((HOST, port), timeout=ASK_S) as connection:
            connection.sendall(request)
            return connection.recv(65536).decode(errors="replace")
    except OSError:
        return None
