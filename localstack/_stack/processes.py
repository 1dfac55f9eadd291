"""Processes that were started, remembered in files, and stopped again.

A process is known by its id *and* its start time: a process id that the system has given to
another program since is never signalled.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from .errors import StackError

# How long a server may take to end after SIGTERM before it is killed, seconds.
GRACE_S = 20.0


def start_time(pid):
    """When the process started, as the system words it; None if there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        # The command's name, in parentheses, may itself hold anything: count after the last one.
        fields = stat.rpartition(")")[2].split()
        state, ticks_since_boot = fields[0], fields[19]
        return None if state in "ZX" else f"{boot}/{ticks_since_boot}"
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
    )
    return answer.stdout.strip() or None


class Process:
    """One server that was started. Its record is a file in `folder`."""

    def __init__(self, record, pid, started, port, command):
        self.record, self.pid, self.started = record, pid, started
        self.port, self.command = port, command
        self.child = None

    @classmethod
    def start(cls, folder, name, command, port, log, env=None, cwd=None):
        """Starts a server in a session of its own, its output going to the file `log`."""
        folder.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            try:
                child = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True,
                )
            except OSError as error:
                raise StackError(f"{command[0]} cannot be run: {error.strerror}") from error
        process = cls(folder / f"{name}.json", child.pid, None, port, [str(w) for w in command])
        process.child = child
        process.started = start_time(child.pid)
        process.save()
        return process

    @classmethod
    def read(cls, record):
        """The process that a record names, or None where the record cannot be read."""
        try:
            data = json.loads(record.read_text())
            return cls(record, data["pid"], data["started"], data["port"], data["command"])
        except (OSError, ValueError, KeyError):
            return None

    def save(self):
        data = {
            "pid": self.pid, "started": self.started, "port": self.port, "command": self.command,
        }
        whole = self.record.with_suffix(".tmp")
        whole.write_text(json.dumps(data, indent=1) + "\n")
        whole.replace(self.record)

    def alive(self):
        """Whether the very process that was started is still running."""
        if self.child is not None:
            self.child.poll()  # takes in its exit, so that it does not stay behind as a zombie
        return self.started is not None and start_time(self.pid) == self.started

    def stop(self):
        """Ends the process and those it started, and forgets it. Says whether it was running."""
        was_alive = self.alive()
        if was_alive:
            self._signal(signal.SIGTERM)
            end = time.monotonic() + GRACE_S
            while self.alive() and time.monotonic() < end:
                time.sleep(0.05)
            if self.alive():
                self._signal(signal.SIGKILL)
                end = time.monotonic() + GRACE_S
                while self.alive() and time.monotonic() < end:
                    time.sleep(0.05)
            if self.alive():
                raise StackError(f"process {self.pid} does not end; its record stays in {self.record}")
        self.record.unlink(missing_ok=True)
        return was_alive

    def _signal(self, number):
        # It leads a session of its own, so its group holds its children and nothing else.
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass
