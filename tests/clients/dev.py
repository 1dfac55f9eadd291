"""`inventory-worker dev` on free ports, and commands that are run against it."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CALL = str(REPOSITORY / "examples" / "python" / "call.py")
DEADLINE = 60  # seconds, for what takes a part of one

# How commands are started.
STARTED = {
    "cwd": REPOSITORY,
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "text": True,
}


class Dev:
    """A running `dev`, with its sample: event 1 and store-1."""

    def __init__(self):
        self.log = tempfile.TemporaryFile("w+")
        ports = ["--port", "0", "--grpc-port", "0", "--admin-port", "0"]
        self.process = subprocess.Popen(
            [os.environ["INVENTORY_WORKER"], "dev", "--json", *ports, "--allow-stress"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        try:
            self.http = self.until(lambda: self.address(r"^http +http://(\S+)$"))
            self.grpc = self.until(lambda: self.address(r"^grpc +(\S+)$"))
            admin = self.until(lambda: self.address(r"^admin +http://(\S+)/metrics$"))
            # Once its sample is there.
            self.until(lambda: curl(f"http://{admin}/readyz")[0] == 200)
        except BaseException:
            self.stop()
            raise

    def until(self, holds):
        """Waits for what it will do, and returns it."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            if found := holds():
                return found
            time.sleep(0.05)
        raise AssertionError(f"dev did not start:\n{self.printed()}")

    def address(self, pattern):
        """An address as it is printed."""
        found = re.search(pattern, self.printed(), re.MULTILINE)
        return found and found[1]

    def printed(self):
        """What it logged."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode()

    def stop(self):
        """Drains it."""
        self.process.terminate()
        try:
            code = self.process.wait(DEADLINE)
            assert code == 0, f"dev ended with {code}:\n{self.printed()}"
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()


def run(arguments):
    """Runs a command to its end: its exit code, and what it printed."""
    ended = subprocess.run(arguments, timeout=DEADLINE, **STARTED)
    return ended.returncode, ended.stdout


def lines_until(arguments, last):
    """The lines of a command that does not end by itself, to the first that contains `last`."""
    process = subprocess.Popen(arguments, **STARTED)
    limit = threading.Timer(DEADLINE, process.kill)
    limit.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if last in line:
                return lines
        raise AssertionError(f"{arguments} ended without {last!r}:\n" + "\n".join(lines))
    finally:
        limit.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def curl(url, *arguments):
    """The status and the body of an answer: JSON, or text where it is none."""
    status = ["-w", "\n%{http_code}"]
    code, printed = run(["curl", "--silent", "--show-error", *status, *arguments, url])
    assert code == 0, printed
    body, _, status = printed.rpartition("\n")
    try:
        body = json.loads(body)
    except ValueError:
        pass
    return int(status), body
