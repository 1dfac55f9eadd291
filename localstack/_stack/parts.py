"""The parts of the stack: how each is installed, started, asked how it is, and reached."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import install, net
from .processes import Process

HERE = Path(__file__).resolve().parent

LOCALSTACK = "4.9.2"


@dataclass
class Context:
    """Where a part may write, and whom it tells."""

    project: Path
    cache: Path
    say: Callable[[str], None]
    tools: dict = field(default_factory=dict)

    def log(self, name):
        return self.cache / "log" / f"{name}.log"

    def fresh_folder(self, name):
        """An empty folder for a server's data: no data outlives its server."""
        folder = self.cache / "data" / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def start(self, name, command, port, env=None, cwd=None):
        log = self.log(name)
        log.unlink(missing_ok=True)
        return Process.start(self.cache / "run", name, command, port, log, env=env, cwd=cwd)


class LocalStack:
    """SQS and SNS."""

    name, default_ports = "localstack", (4566,)

    def install(self, context):
        context.tools[self.name] = install.venv(
            context.cache / f"venv-localstack-{LOCALSTACK}",
            context.log("install-localstack"),
            # The date keeps its dependencies at versions that work with it.
            ["--uploaded-prior-to=2025-10-20T00:00:00Z", f"localstack-core[runtime]=={LOCALSTACK}"],
            context.say,
        )

    def start(self, context, ports):
        (port,) = ports
        data = context.fresh_folder(self.name)
        address = f"{net.HOST}:{port}"
        env = {
            "SERVICES": "sqs,sns",
            "EAGER_SERVICE_LOADING": "1",
            "DISABLE_EVENTS": "1",  # no usage reports
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",  # no DNS server
            "GATEWAY_LISTEN": address,
            "LOCALSTACK_HOST": address,
            "SQS_ENDPOINT_STRATEGY": "path",
            "LOCALSTACK_VOLUME_DIR": str(data / "volume"),
            "FILESYSTEM_ROOT": str(data / "root"),
            "XDG_CACHE_HOME": str(data / "xdg"),
            "TMPDIR": str(data),
        }
        command = [context.tools[self.name], HERE / "serve_localstack.py"]
        return [context.start(self.name, command, port, env, cwd=data)]

    def settle(self, ports):
        pass

    def healthy(self, ports):
        answer = net.get_json(ports[0], "/_localstack/health") or {}
        services = answer.get("services", {})
        return all(services.get(name) == "running" for name in ("sqs", "sns"))

    def exports(self, ports):
        return {"INVENTORY_TEST_LOCALSTACK": f"http://{net.HOST}:{ports[0]}"}


class MiniStack:
    """SQS, SNS and DynamoDB, as someone else reads AWS's documentation."""

    name, default_ports = "ministack", (4567,)

    def install(self, context):
        context.tools[self.name] = install.venv(
            context.cache / "venv-ministack",
            context.log("install-ministack"),
            ["--requirement", str(HERE.parent / "ministack-requirements.txt")],
            context.say,
        )

    def start(self, context, ports):
        (port,) = ports
        data = context.fresh_folder(self.name)
        env = {
            "BIND_HOST": net.HOST,  # its default is every interface
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": net.HOST,
            "LOG_LEVEL": "WARNING",
            "STATE_DIR": str(data / "state"),
            "S3_DATA_DIR": str(data / "s3"),
            "TMPDIR": str(data),
            # It would otherwise look for containers of its own to remove.
            "DOCKER_HOST": f"unix://{data}/no-docker.sock",
        }
        command = [context.tools[self.name], "-m", "ministack"]
        return [context.start(self.name, command, port, env, cwd=data)]

    def settle(self, ports):
        pass

    def healthy(self, ports):
        return net.get_json(ports[0], "/_ministack/health") is not None

    def exports(self, ports):
        return {"INVENTORY_TEST_MINISTACK": f"http://{net.HOST}:{ports[0]}"}


class DynamoDb:
    """DynamoDB, by dynoxide."""

    name, default_ports = "dynamodb", (8000,)

    def install(self, context):
        context.tools[self.name] = install.dynamodb_emulator(
            context.project, context.log("install-dynamodb"), context.say
        )

    def start(self, context, ports):
        (port,) = ports
        data = context.fresh_folder(self.name)
        command = [context.tools[self.name], "--listen", f"{net.HOST}:{port}"]
        return [context.start(self.name, command, port, cwd=data)]

    def settle(self, ports):
        pass

    def healthy(self, ports):
        return net.answers_http(ports[0])

    def exports(self, ports):
        url = f"http://{net.HOST}:{ports[0]}"
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": url,
            "INVENTORY_TEST_DYNAMODB": url,
            # It has no backups, which `bootstrap` otherwise turns on.
            "INVENTORY_MINIMAL_TABLES": "true",
        }


# No data is kept: a killed server leaves nothing behind.
REDIS = ["--bind", net.HOST, "--save", "", "--appendonly", "no", "--daemonize", "no"]


class Redis:
    """One Redis node."""

    name, default_ports = "redis", (6379,)

    def install(self, context):
        context.tools[self.name] = install.redis_server(context.say)

    def start(self, context, ports):
        (port,) = ports
        data = context.fresh_folder(self.name)
        command = [context.tools[self.name], "--port", str(port), "--dir", str(data), *REDIS]
        return [context.start(self.name, command, port, cwd=data)]

    def settle(self, ports):
        pass

    def healthy(self, ports):
        return net.redis(ports[0], "PING") == "+PONG\r\n"

    def exports(self, ports):
        url = f"redis://{net.HOST}:{ports[0]}"
        return {"REDIS_URL": url, "INVENTORY_TEST_REDIS": url}


# How long three nodes on one machine may take to become one cluster, seconds: usually two.
CLUSTER_CREATE_S = 60.0


class RedisCluster:
    """Three Redis masters, without replicas."""

    name, default_ports = "redis-cluster", (7001, 7002, 7003)

    def install(self, context):
        context.tools[self.name] = install.redis_server(context.say)
        self.log = context.log("redis-cluster-create")

    def start(self, context, ports):
        data = context.fresh_folder(self.name)
        taken = list(ports)
        processes = []
        for number, port in enumerate(ports, start=1):
            folder = data / str(number)
            folder.mkdir()
            # The nodes' own channel: Redis's default, port + 10000, may be taken or too high.
            channel = net.free_port(taken)
            taken.append(channel)
            command = [
                context.tools[self.name], "--port", str(port), "--dir", str(folder), *REDIS,
                "--cluster-enabled", "yes", "--cluster-port", str(channel),
                "--cluster-node-timeout", "5000",
            ]
            name = f"{self.name}-{number}"
            processes.append(context.start(name, command, port, cwd=folder))
        return processes

    def settle(self, ports):
        """Makes the nodes one cluster, once all of them answer."""
        nodes = [f"{net.HOST}:{port}" for port in ports]
        self.log.unlink(missing_ok=True)
        install.run(
            ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"],
            self.log, "making the Redis cluster", timeout_s=CLUSTER_CREATE_S,
        )

    def healthy(self, ports):
        answers = [net.redis(port, "CLUSTER", "INFO") or "" for port in ports]
        return all(
            "cluster_state:ok" in answer and f"cluster_known_nodes:{len(ports)}" in answer
            for answer in answers
        )

    def exports(self, ports):
        urls = ",".join(f"redis://{net.HOST}:{port}" for port in ports)
        return {"INVENTORY_TEST_REDIS_CLUSTER": urls}

    def reachable(self, ports):
        return all(net.redis(port, "PING") == "+PONG\r\n" for port in ports)


ALL = {part.name: part for part in (LocalStack(), MiniStack(), DynamoDb(), Redis(), RedisCluster())}
