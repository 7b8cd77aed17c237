"""Measures the local endpoint: `benches/endpoint.py PROGRAM BARE [--soak N]`.

PROGRAM is a release build of strongroom, BARE the floor (benches/bare.rs). Runs with the
Python of tests/.venv, which has botocore (it signs) and moto (a peer); wrk makes the load
(Debian: apt-get install wrk). In one run, by turns: the bare hyper server, the endpoint's
GetSecretValue with its signature verified, a GET of the agent's protocol, and moto. Then
the memory with 1,000 and 10,000 secrets and the time from start to first answer. With
`--soak N` only N mixed requests, with the memory at each tenth.

Nothing leaves 127.0.0.1, nothing outlives the script, and nothing here is a test.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = Credentials("AKIDBENCH00000000000", "bench-bench-bench-bench-bench-bench-bench")
CONNECTIONS = 16
SECONDS = 5
ROUNDS = 3
VALUE = "x" * 1024
HERE = os.path.dirname(os.path.abspath(__file__))


def name(n: int) -> str:
    return f"team-{n % 50}/secret-{n}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Request:
    """One HTTP request, as wrk and as a socket want it."""

    def __init__(self, port: int, method: str, path: str, headers: dict, body: str = ""):
        self.port, self.method, self.path, self.body = port, method, path, body
        self.headers = {"Host": f"127.0.0.1:{port}", **headers}

    def bytes(self) -> bytes:
        head = [f"{self.method} {self.path} HTTP/1.1"]
        head += [f"{key}: {value}" for key, value in self.headers.items()]
        if self.method == "POST":
            head.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(head) + "\r\n\r\n" + self.body).encode()

    def lua(self) -> str:
        lines = [f"wrk.method = {json.dumps(self.method)}"]
        # A long bracket that no JSON has.
        lines += [f"wrk.headers[{json.dumps(k)}] = [==[{v}]==]" for k, v in self.headers.items()]
        if self.body:
            lines.append(f"wrk.body = [==[{self.body}]==]")
        return "\n".join(lines)


def signed(port: int, operation: str, body: dict) -> Request:
    """A request of AWS's protocol, signed now; good for five minutes."""
    text = json.dumps(body)
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"secretsmanager.{operation}",
    }
    request = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers=headers, data=text)
    SigV4Auth(KEY, "secretsmanager", "us-east-1").add_auth(request)
    return Request(port, "POST", "/", dict(request.headers.items()), text)


class Connection:
    """A keep-alive connection that reads one whole answer at a time."""

    LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        self.socket.sendall(request)

    def read(self) -> tuple[int, bytes]:
        data = b""
        while True:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed in an answer")
            data += more
            end = data.find(b"\r\n\r\n")
            if end < 0:
                continue
            length = int(self.LENGTH.search(data, 0, end).group(1))
            if len(data) == end + 4 + length:
                return int(data[9:12]), data[end + 4:]

    def ask(self, request: Request) -> tuple[int, bytes]:
        self.send(request.bytes())
        return self.read()

    def close(self) -> None:
        self.socket.close()


def first_answer(request: bytes, port: int, status: int = 200, patience: float = 60) -> bytes:
    """Asks until there is an answer; gives its body."""
    until = time.perf_counter() + patience
    while True:
        try:
            connection = Connection(port)
        except ConnectionRefusedError:
            if time.perf_counter() > until:
                raise
            time.sleep(0.0002)
            continue
        connection.send(request)
        got, body = connection.read()
        connection.close()
        assert got == status, (got, body)
        return body


class Process:
    """A server, ended with its block."""

    def __init__(self, args: list, env: dict, **more):
        self.child = subprocess.Popen(args, env=env, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait(10)

    def rss(self) -> float:
        """MiB."""
        with open(f"/proc/{self.child.pid}/status") as status:
            line = next(s for s in status if s.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


class Home:
    """A directory with a vault, and all of it forgotten."""

    def __init__(self, program: str, directory: str):
        self.program, self.path = program, directory
        self.env = {
            "HOME": directory,
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "bench",
            "GIT_AUTHOR_EMAIL": "bench@localhost",
            "GIT_COMMITTER_NAME": "bench",
            "GIT_COMMITTER_EMAIL": "bench@localhost",
            "STRONGROOM_SERVE_ACCESS_KEY_ID": KEY.access_key,
            "STRONGROOM_SERVE_SECRET_ACCESS_KEY": KEY.secret_key,
        }
        self.vault = os.path.join(directory, "vault")
        subprocess.run([program, "-q", "init", self.vault, "--no-passphrase"],
                       env=self.env, cwd=directory, check=True, stdout=subprocess.DEVNULL)
        self.count = 0

    @contextlib.contextmanager
    def serve(self):
        """The endpoint, answering; gives the process, its port, the agent's and the token."""
        port, agent = free_port(), free_port()
        ready = os.path.join(self.path, "ready")
        args = [self.program, "-q", "-C", self.vault, "--no-commit", "serve", "--listen",
                f"127.0.0.1:{port}", "--agent-port", str(agent), "--ready-file", ready]
        with Process(args, self.env, cwd=self.path) as process:
            until = time.monotonic() + 60
            while not os.path.exists(ready):
                assert process.child.poll() is None, "serve has ended"
                assert time.monotonic() < until, "serve does not get ready"
                time.sleep(0.005)
            with open(ready) as file:
                token = open(json.load(file)["token"]).read().strip()
            yield process, port, agent, token

    def fill(self, count: int) -> None:
        """Adds secrets through the endpoint until there are `count`."""
        with self.serve() as (_, port, _, _):
            connection = Connection(port)
            for n in range(self.count, count):
                status, body = connection.ask(
                    signed(port, "CreateSecret", {
                        "Name": name(n), "SecretString": VALUE,
                        "ClientRequestToken": f"{n:08x}-0000-4000-8000-000000000000",
                    }))
                assert status == 200, body
            connection.close()
        self.count = count

    def start(self) -> float:
        """Milliseconds from the start of the process to its first answer."""
        port = free_port()
        request = signed(port, "GetSecretValue", {"SecretId": name(0)}).bytes()
        args = [self.program, "-q", "-C", self.vault, "serve", "--listen", f"127.0.0.1:{port}",
                "--no-agent-port"]
        began = time.perf_counter()
        with Process(args, self.env, cwd=self.path):
            first_answer(request, port)
            return (time.perf_counter() - began) * 1000


def wrk(request: Request, connections: int, seconds: int) -> tuple[float, float]:
    """Requests a second, and the median in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(request.lua())
        script.flush()
        args = ["wrk", "-t", str(min(connections, 2)), "-c", str(connections),
                "-d", f"{seconds}s", "--latency", "-s", script.name,
                f"http://127.0.0.1:{request.port}{request.path}"]
        said = subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    rate = float(re.search(r"Requests/sec: +([\d.]+)", said).group(1))
    number, unit = re.search(r"50% +([\d.]+)(us|ms|s)", said).groups()
    return rate, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


@contextlib.contextmanager
def moto(env: dict):
    """moto, with the one secret that is asked for; gives its port."""
    script = os.path.join(HERE, "../tests/moto_server.py")
    with Process([sys.executable, script], env, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        port = int(process.child.stdout.readline())
        create = signed(port, "CreateSecret", {"Name": name(0), "SecretString": VALUE})
        first_answer(create.bytes(), port)
        yield port


def rates(home: Home, bare: str) -> None:
    home.fill(1)
    floor = free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(Process([bare, str(floor)], home.env))
        _, port, agent, token = stack.enter_context(home.serve())
        peer = stack.enter_context(moto(home.env))
        ask = {"SecretId": name(0)}
        doors = {
            "bare hyper": lambda: signed(floor, "GetSecretValue", ask),
            "GetSecretValue, signed": lambda: signed(port, "GetSecretValue", ask),
            "agent's protocol, GET": lambda: Request(
                agent, "GET", f"/v1/{name(0)}", {"X-Aws-Parameters-Secrets-Token": token}),
            "moto, GetSecretValue": lambda: signed(peer, "GetSecretValue", ask),
        }
        for what, make in doors.items():
            request = make()
            body = first_answer(request.bytes(), request.port)
            print(f"{what}: an answer has {len(body)} bytes")
        seen = {what: [] for what in doors}
        alone = {what: [] for what in doors}
        for turn in range(ROUNDS):
            for what, make in doors.items():
                seen[what].append(wrk(make(), CONNECTIONS, SECONDS)[0])
                alone[what].append(wrk(make(), 1, 2)[1])
            print(f"round {turn + 1}: " + ", ".join(
                f"{what} {all_[-1]:,.0f}/s ({all_[-1] / seen['bare hyper'][-1]:.2f})"
                for what, all_ in seen.items()))
        for what in doors:
            ratios = [a / b for a, b in zip(seen[what], seen["bare hyper"])]
            print(f"{what}: {CONNECTIONS} connections, median {statistics.median(seen[what]):,.0f}/s, "
                  f"{statistics.median(ratios):.2f} of bare hyper; "
                  f"one connection, p50 {statistics.median(alone[what]):.3f} ms")


def sizes(home: Home) -> None:
    for count in (1, 1000, 10000):
        home.fill(count)
        with home.serve() as (process, port, _, _):
            first_answer(signed(port, "GetSecretValue", {"SecretId": name(0)}).bytes(), port)
            fresh = process.rss()
            connection = Connection(port)
            for n in range(count):
                status, body = connection.ask(signed(port, "GetSecretValue", {"SecretId": name(n)}))
                assert status == 200, body
            connection.close()
            print(f"{count:,} secrets: {fresh:.1f} MiB after the start, "
                  f"{process.rss():.1f} MiB once every value was read")
        times = [home.start() for _ in range(11)]
        print(f"{count:,} secrets: start to first answer, median {statistics.median(times):.1f} ms, "
              f"least {min(times):.1f} ms")


def soak(home: Home, count: int) -> None:
    """Reads of 1,000 secrets, descriptions, lists, the agent's protocol and bad requests."""
    home.fill(1000)
    dice = random.Random(1)
    with home.serve() as (process, port, agent, token):
        print(f"soak: {process.rss():.1f} MiB before")
        began = time.monotonic()
        for tenth in range(1, 11):
            # Signed anew for each tenth: a signature is good for five minutes.
            plain = [(signed(port, "GetSecretValue", {"SecretId": name(n)}).bytes(), 200)
                     for n in range(1000)]
            plain += [(signed(port, "DescribeSecret", {"SecretId": name(n)}).bytes(), 200)
                      for n in range(100)]
            plain += [(signed(port, "GetSecretValue", {"SecretId": f"none-{n}"}).bytes(), 400)
                      for n in range(100)]
            plain += [(signed(port, "ListSecrets", {"MaxResults": 5}).bytes(), 200)] * 20
            forged = signed(port, "GetSecretValue", {"SecretId": name(0)})
            forged.body = forged.body.replace("team", "meat")
            plain += [(forged.bytes(), 403)] * 100
            headers = {"X-Aws-Parameters-Secrets-Token": token}
            other = [(Request(agent, "GET", f"/v1/{name(n)}", headers).bytes(), 200)
                     for n in range(1000)]
            doors = [(port, plain)] * 12 + [(agent, other)] * 4
            connections = [(Connection(at), requests) for at, requests in doors]
            left = count // 10
            while left > 0:
                sent = []
                for connection, requests in connections[:left]:
                    request, status = dice.choice(requests)
                    connection.send(request)
                    sent.append((connection, status))
                for connection, status in sent:
                    got, body = connection.read()
                    assert got == status, (got, status, body[:200])
                left -= len(sent)
            for connection, _ in connections:
                connection.close()
            print(f"soak: {count // 10 * tenth:,} requests, {process.rss():.1f} MiB, "
                  f"{time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("bare")
    parser.add_argument("--soak", type=int, metavar="N")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("benches/endpoint.py: no wrk (Debian: apt-get install wrk)")
    # In memory where there is such a place: a disk's fsync is not what is measured.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    print(f"{os.cpu_count()} processors, load average before: {load}")
    with tempfile.TemporaryDirectory(dir=place) as directory:
        home = Home(os.path.abspath(given.program), directory)
        if given.soak:
            soak(home, given.soak)
        else:
            rates(home, os.path.abspath(given.bare))
            sizes(home)
    print("load average after: " + ", ".join(f"{n:.1f}" for n in os.getloadavg()))


main()
