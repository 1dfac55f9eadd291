"""What the commands do: up, down, status, env."""

import fcntl
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from . import install, net, parts
from .errors import StackError
from .processes import Process

__all__ = ["DEFAULT_PARTS", "PARTS", "Stack", "StackError", "ports_of"]

PARTS = list(parts.ALL)
DEFAULT_PARTS = ["localstack", "dynamodb", "redis"]

# Between two questions whether a server is up, seconds.
POLL_S = 0.1

# The stack's own credentials and region: emulators take any.
COMMON = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def ports_of(options):
    """Reads `--port PART=PORT[,PORT,PORT]`."""
    ports = {}
    for option in options:
        name, _, text = option.partition("=")
        if name not in parts.ALL:
            raise StackError(f"--port {option}: no part is called {name!r}; parts: {', '.join(PARTS)}")
        wanted = len(parts.ALL[name].default_ports)
        numbers = [int(n) for n in text.split(",") if n.isdigit() and 0 < int(n) < 65536]
        if len(numbers) != wanted or len(set(numbers)) != wanted:
            raise StackError(f"--port {option}: {name} takes {wanted} port number(s), 1 to 65535")
        ports[name] = tuple(numbers)
    return ports


def selected(names, default):
    """The parts that were named, in order of their definition."""
    if not names:
        names = default
    for name in names:
        if name not in parts.ALL and name != "all":
            raise StackError(f"no part is called {name!r}; parts: {', '.join(PARTS)}, all")
    return [part for part in parts.ALL.values() if part.name in names or "all" in names]


class Stack:
    """The parts that run out of one cache folder."""

    def __init__(self, project, cache):
        self.project, self.cache = project, cache
        self.began = time.monotonic()

    def say(self, name, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {name:<14}{text}", flush=True)

    @contextmanager
    def locked(self):
        """One `up` or `down` at a time in one cache folder."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("waiting for another up or down in this cache folder", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def records(self, part):
        """The processes of a part that were started and not stopped, running or not."""
        count = len(part.default_ports)
        names = [part.name] if count == 1 else [f"{part.name}-{n + 1}" for n in range(count)]
        folder = self.cache / "run"
        found = [Process.read(folder / f"{name}.json") for name in names]
        return [process for process in found if process is not None]

    def ports(self, part):
        """Where a part listens, if all of its processes are alive; None otherwise."""
        processes = self.records(part)
        whole = len(processes) == len(part.default_ports)
        if whole and all(process.alive() for process in processes):
            return tuple(process.port for process in processes)
        return None

    def up(self, names, ports, free_ports, deadline_s):
        with self.locked():
            return self._up(selected(names, DEFAULT_PARTS), ports, free_ports, deadline_s)

    def _up(self, wanted, asked, free_ports, deadline_s):
        missing = []
        for part in wanted:
            running = self.ports(part)
            if running and part.healthy(running):
                self.say(part.name, f"already running on {comma(running)}")
                if part.name in asked and asked[part.name] != running:
                    raise StackError(f"{part.name} runs on {comma(running)}: take it down first")
                continue
            for process in self.records(part):  # what is left of a partial or broken start
                process.stop()
            missing.append(part)

        contexts = {part.name: self.context(part) for part in missing}
        failures = self.install(missing, contexts)
        installed = [part for part in missing if part.name not in failures]
        chosen = self.choose_ports(installed, asked, free_ports)
        started = {}
        for part in installed:
            try:
                started[part.name] = part.start(contexts[part.name], chosen[part.name])
                self.say(part.name, f"starting on {comma(chosen[part.name])}")
            except StackError as error:
                failures[part.name] = error
        for part in installed:
            if part.name not in started:
                continue
            try:
                self.wait(part, chosen[part.name], started[part.name], deadline_s)
                self.say(part.name, "healthy")
            except StackError as error:
                failures[part.name] = error
                for process in started[part.name]:
                    process.stop()
        env = self.write_env()
        for name, error in failures.items():
            print(f"stack: {name}: {error}", file=sys.stderr)
        if failures:
            return 1
        print(f"ready: . {shlex.quote(str(env))}")
        return 0

    def context(self, part):
        return parts.Context(self.project, self.cache, lambda text: self.say(part.name, text))

    def install(self, missing, contexts):
        """Installs side by side what is not there. Gives what failed, by part."""
        # Debian's package manager works alone: the parts on Redis share one turn.
        turns = {}
        for part in missing:
            turns.setdefault(part.name.partition("-")[0], []).append(part)

        failures = {}

        def take_turn(turn):
            for part in turn:
                try:
                    part.install(contexts[part.name])
                except StackError as error:
                    failures[part.name] = error

        if turns:
            with ThreadPoolExecutor(max_workers=len(turns)) as pool:
                list(pool.map(take_turn, turns.values()))
        return failures

    def choose_ports(self, missing, asked, free_ports):
        chosen, taken = {}, []
        for part in missing:
            if part.name in asked:
                for port in asked[part.name]:
                    if port in taken or not net.is_free(port):
                        raise StackError(f"--port {part.name}: port {port} is taken")
                chosen[part.name] = asked[part.name]
                taken.extend(asked[part.name])
        for part in missing:
            if part.name in chosen:
                continue
            ports = []
            for port in part.default_ports:
                if free_ports or port in taken or not net.is_free(port):
                    if not free_ports:
                        self.say(part.name, f"port {port} is taken: taking another")
                    port = net.free_port(taken)
                ports.append(port)
                taken.append(port)
            chosen[part.name] = tuple(ports)
        return chosen

    def wait(self, part, ports, processes, deadline_s):
        """Waits until a started part is healthy."""
        end = time.monotonic() + deadline_s
        reachable = getattr(part, "reachable", None)
        for settled in (False, True):
            ready = part.healthy if settled or reachable is None else reachable
            while not ready(ports):
                self.check_alive(part, processes)
                if time.monotonic() > end:
                    log = self.cache / "log" / f"{processes[0].record.stem}.log"
                    raise StackError(f"not healthy after {deadline_s:g} s; {install.tail(log)}")
                time.sleep(POLL_S)
            if not settled:
                part.settle(ports)
        # Another server may have answered on the port while ours could not take it.
        self.check_alive(part, processes)

    def check_alive(self, part, processes):
        for process in processes:
            if not process.alive():
                log = self.cache / "log" / f"{process.record.stem}.log"
                raise StackError(f"ended while starting; {install.tail(log)}")

    def down(self, names):
        with self.locked():
            for part in selected(names, PARTS):
                processes = self.records(part)
                stopped = [process.port for process in processes if process.stop()]
                if stopped:
                    self.say(part.name, f"stopped ({comma(stopped)})")
                elif processes:
                    self.say(part.name, "had already ended")
            self.write_env()
            return 0

    def status(self):
        well = running = 0
        for part in parts.ALL.values():
            records = self.records(part)
            ports = self.ports(part)
            if not records:
                state = "not running"
            elif ports is None:
                state = "broken: a process has ended; see its log, then `up` or `down`"
            elif part.healthy(ports):
                state = f"running on {comma(ports)}, pid {comma(p.pid for p in records)}"
                well += 1
            else:
                state = f"not healthy on {comma(ports)}, pid {comma(p.pid for p in records)}"
            running += bool(records)
            print(f"{part.name:<14}{state}")
        return 0 if running and well == running else 1

    def exports(self):
        """The environment that points at what is running."""
        running = [(part, self.ports(part)) for part in parts.ALL.values()]
        running = [(part, ports) for part, ports in running if ports]
        if not running:
            return {}
        exports = dict(COMMON)
        for part, ports in running:
            exports.update(part.exports(ports))
        for name in ("INVENTORY_TEST_LOCALSTACK", "INVENTORY_TEST_MINISTACK"):
            if name in exports:
                exports.setdefault("AWS_ENDPOINT_URL", exports[name])
        if "INVENTORY_TEST_REDIS_CLUSTER" in exports:
            exports.setdefault("REDIS_URL", exports["INVENTORY_TEST_REDIS_CLUSTER"])
        return exports

    def env_text(self):
        return "".join(f"export {k}={shlex.quote(v)}\n" for k, v in self.exports().items())

    def write_env(self):
        path = self.cache / "env"
        text = self.env_text()
        if text:
            path.write_text(text)
        else:
            path.unlink(missing_ok=True)
        return path

    def env(self):
        text = self.env_text()
        if not text:
            raise StackError("nothing is running; start it with `localstack/stack up`")
        print(text, end="")
        return 0


def comma(values):
    return ", ".join(str(value) for value in values)
