"""Gets what the parts need: virtual environments from PyPI, Debian's Redis, a cargo build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import StackError

# The first pip with `--uploaded-prior-to` for every index that gives upload times.
PIP = "pip==26.3"


def run(command, log, what, cwd=None, env=None, timeout_s=None):
    """Runs a command to its end, its output going to the file `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(env or {})},
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{what}: not done after {timeout_s:g} s; {tail(log)}") from error
        except OSError as error:
            raise StackError(f"{what}: {command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise StackError(f"{what}: {command[0]} ended with {done.returncode}; {tail(log)}")


def tail(log, lines=12):
    """The end of a log, for an error message."""
    try:
        text = log.read_text(errors="replace").splitlines()
    except OSError:
        return f"there is no {log}"
    return "\n".join([f"the end of {log}:", *(f"  | {line}" for line in text[-lines:])])


def python():
    """A Python that can make virtual environments. LocalStack 4.9.2 was tried on 3.11."""
    wanted = os.environ.get("STACK_PYTHON")
    for candidate in [wanted] if wanted else ["python3.11", sys.executable]:
        path = shutil.which(candidate)
        if path is None:
            continue
        probe = subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True)
        if probe.returncode == 0:
            return path
    if wanted:
        raise StackError(f"STACK_PYTHON={wanted} is no Python with the modules venv and ensurepip")
    if not apt_install(["python3-venv"]):
        raise StackError("no Python with the module ensurepip: install python3-venv")
    return "/usr/bin/python3"


def venv(folder, log, arguments, say):
    """Makes a virtual environment with what `pip install` is told, once: gives its Python."""
    binary = folder / "bin" / "python"
    mark = folder / "complete"
    wanted = " ".join([PIP, *arguments])
    if mark.exists() and mark.read_text() == wanted:
        return binary
    say("installing from PyPI (a minute or two, once)")
    if folder.exists():
        shutil.rmtree(folder)
    what = f"installing {folder.name}"
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    run([python(), "-m", "venv", folder], log, what)
    run([binary, "-m", "pip", "install", PIP], log, what, env=quiet)
    run([binary, "-m", "pip", "install", *arguments], log, what, env=quiet)
    mark.write_text(wanted)  # last: an interrupted installation is begun anew
    return binary


def apt_install(packages):
    """Installs Debian packages where that is possible. Says whether it did."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    # RUNLEVEL=1: the package's own service is not started on the way (invoke-rc.d).
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", *packages]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=env)
        if done.returncode != 0:
            raise StackError(
                f"{' '.join(command)}:\n{done.stderr.decode(errors='replace').strip()}"
            )
    return True


def redis_server(say):
    """The path of redis-server; installs Debian's package where it is missing."""
    wanted = ("redis-server", "redis-cli")
    if not all(shutil.which(name) for name in wanted):
        say("installing Debian's redis-server")
        if not apt_install(["redis-server"]):
            raise StackError("redis-server is missing: install it (Debian: redis-server), or be root")
    return shutil.which("redis-server")


def dynamodb_emulator(project, log, say):
    """The path of the DynamoDB server: $DYNAMODB_EMULATOR, or what cargo builds."""
    given = os.environ.get("DYNAMODB_EMULATOR")
    if given:
        if not os.access(given, os.X_OK):
            raise StackError(f"DYNAMODB_EMULATOR={given} is no program")
        return Path(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    binary = project / target / "debug" / "dynamodb-emulator"
    if not os.access(binary, os.X_OK):
        say("building with cargo (minutes, once)")
        run(
            ["cargo", "build", "--locked", "--bin", "dynamodb-emulator"],
            log, "building dynamodb-emulator", cwd=project,
        )
    return binary
