"""Times whole processes: get, put and ls on a vault of 1,000 secrets, beside `age -d`
where age is installed. Prints the median of each; never a test."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def main() -> None:
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as home:
        env = {
            "HOME": home,
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "bench",
            "GIT_AUTHOR_EMAIL": "bench@localhost",
            "GIT_COMMITTER_NAME": "bench",
            "GIT_COMMITTER_EMAIL": "bench@localhost",
        }
        vault = os.path.join(home, "vault")

        def run(*args: str, value: bytes | None = None) -> bytes:
            done = subprocess.run(
                [program, "-q", *args], env=env, input=value, cwd=home,
                check=True, stdout=subprocess.PIPE,
            )
            return done.stdout

        def median(what: str, times: int, act) -> None:
            spent = []
            for n in range(times):
                start = time.perf_counter()
                act(n)
                spent.append((time.perf_counter() - start) * 1000)
            print(f"{what}: median {statistics.median(spent):.1f} ms, least {min(spent):.1f} ms")

        run("init", vault, "--no-passphrase")
        for n in range(1000):
            run("-C", vault, "put", f"team-{n % 10}/secret-{n}", value=b"x" * 200)
        median("get, whole process, unsealed identity", 50,
               lambda n: run("-C", vault, "get", f"team-{n % 10}/secret-{n}"))
        median("put with git commit, whole process, 1,000 secrets", 30,
               lambda n: run("-C", vault, "put", f"team-{n % 10}/secret-{n}", value=b"y" * 200))
        run("-C", vault, "ls")
        median("ls of 1,000, whole process", 50, lambda _: run("-C", vault, "ls", "--flat"))
        if shutil.which("age"):
            identity = os.path.join(home, ".config/strongroom/identity")
            keyring = os.path.join(vault, "keys/default.age")
            median("age -d of one small file, whole process", 50, lambda _: subprocess.run(
                ["age", "-d", "-i", identity, keyring], check=True, stdout=subprocess.DEVNULL))
        else:
            print("age -d: left out, age is not installed")


main()
