"""Runs LocalStack's own entry point, on loopback only.

LocalStack 4.9.2 passes no interface to Twisted for an IPv4 address, whatever GATEWAY_LISTEN says
(`localstack/runtime/server/twisted.py`: "TODO: interface = host?"), and so would listen on every
interface of the machine. This file is run by the Python of LocalStack's virtual environment.
"""

import runpy

from twisted.internet import endpoints


class LoopbackEndpoint(endpoints.TCP4ServerEndpoint):
    """A server endpoint that listens on loopback unless told otherwise."""

    def __init__(self, reactor, port, backlog=50, interface="127.0.0.1"):
        super().__init__(reactor, port, backlog, interface or "127.0.0.1")


endpoints.TCP4ServerEndpoint = LoopbackEndpoint
runpy.run_module("localstack.runtime.main", run_name="__main__", alter_sys=True)
