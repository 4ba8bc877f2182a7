"""What services/localstack/compat.py relies on in LocalStack; run by its interpreter, see test_localstack.py."""

import datetime
import inspect
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from inside import report
from localstack import config

LOCALSTACK = Path(__file__).resolve().parents[2] / "services" / "localstack"
compat = runpy.run_path(str(LOCALSTACK / "compat.py"))


def parameters(function):
    return list(inspect.signature(function).parameters)


def check_directories_have_the_names_that_are_replaced():
    assert {"static_libs", "init", "tmp", "data"} <= set(vars(config.dirs))


def check_ipv4_still_drops_the_host_of_gateway_listen():
    """When this fails `listen_on_loopback` can go."""
    from localstack.runtime.server import twisted
    from rolo.gateway import Gateway

    asked = []
    original = twisted.endpoints.TCP4ServerEndpoint
    twisted.endpoints.TCP4ServerEndpoint = lambda *args, **kwargs: (
        asked.append((args[1:], kwargs)) or SimpleNamespace(listen=lambda factory: None)
    )
    try:
        twisted.TwistedRuntimeServer().register(Gateway(), [config.HostAndPort("127.0.0.1", 4566)])
    finally:
        twisted.endpoints.TCP4ServerEndpoint = original
    assert asked == [((4566,), {})]


def check_s3_still_has_its_directory_hard_coded():
    """When this fails the part of `use_own_directories` about S3 can go."""
    from localstack.services.s3 import provider

    assert provider.DEFAULT_S3_TMP_DIR.startswith("/tmp/")


def check_request_handlers_are_a_list_of_the_gateway():
    from localstack.runtime import get_current_runtime
    from localstack.runtime.components import Components
    from rolo.gateway import Gateway

    assert callable(get_current_runtime)
    assert hasattr(Components, "gateway")
    assert isinstance(Gateway().request_handlers, list)


def check_listings_still_skip_keys_with_a_plus():
    """When this fails `list_keys_with_plus` can go."""
    from localstack.services.s3.provider import S3Provider

    def stored(key):
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        fields = {"quoted_etag": "e", "size": 0, "last_modified": now, "storage_class": "", "checksum_algorithm": None}
        return SimpleNamespace(key=key, **fields)

    keys = ["topic+0+0", "topic+0+1"]
    objects = SimpleNamespace(values=lambda: [stored(key) for key in keys])
    bucket = SimpleNamespace(objects=objects, bucket_region="us-east-1", owner={})
    provider = SimpleNamespace(_get_cross_account_bucket=lambda context, name: (None, bucket))
    page = inspect.unwrap(S3Provider.list_objects_v2)(provider, None, "b", encoding_type="url", start_after=keys[0])
    assert page.get("Contents", []) == [], page
    compat["list_keys_with_plus"]()
    page = S3Provider.list_objects_v2(provider, None, "b", encoding_type="url", start_after=keys[0])
    assert [item["Key"] for item in page["Contents"]] == ["topic%2B0%2B1"]


def check_plain_json_paths_read_as_localstack_reads_them():
    from localstack.services.apigateway.next_gen.execute_api.template_mapping import VelocityInput

    body, paths = {"a": [{"b c": 1}, {"b c": [None, "x"]}], "d": {}}, ("$", "$.a[1]['b c']", "$.a[0]", "$.d")
    before = [VelocityInput(json.dumps(body), {})._extract_json_path(path) for path in paths]
    assert parameters(VelocityInput._extract_json_path) == ["self", "path"]
    compat["read_json_paths_fast"]()
    assert [VelocityInput(json.dumps(body), {})._extract_json_path(path) for path in paths] == before


def check_kinesis_starts_by_a_thread_with_a_command():
    from localstack.services.kinesis.kinesis_mock_server import KinesisMockNodeServer
    from localstack.utils.run import ShellCommandThread

    assert parameters(KinesisMockNodeServer.do_start_thread) == ["self"]
    assert parameters(KinesisMockNodeServer._create_shell_command) == ["self"]
    assert parameters(KinesisMockNodeServer._log_listener)[:2] == ["self", "line"]
    assert parameters(ShellCommandThread.stop) == ["self", "quiet"]
    used = {"stdin", "auto_restart", "log_listener", "name", "env_vars"}
    assert used <= set(parameters(ShellCommandThread.__init__))
    compat["keep_kinesis_on_disk"]()  # refuses another version of kinesis-local


def check_the_preload_finds_what_it_changes_in_kinesis_local():
    install = runpy.run_path(str(LOCALSTACK / "install.py"))
    program = install["kinesis"](Path(sys.prefix)) / "node_modules" / "kinesis-local" / "main.js"
    stop = (
        "const m = require('module'), fs = require('fs'), compile = m.prototype._compile;"
        "m.prototype._compile = function (source, file, ...rest) {"
        "  if (file !== fs.realpathSync(process.argv[1])) return compile.call(this, source, file, ...rest);"
        "  console.log('fits'); process.exit(0); };"
    )
    compat["use_installed_files"]()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "stop.js").write_text(stop, encoding="utf-8")
        preload = ["--require", str(Path(scratch, "stop.js")), "--require", str(LOCALSTACK / "kinesis" / "preload.js")]
        variables = os.environ | {"PERSIST_PATH": scratch, "PERSIST_FILE_NAME": "data.json"}
        done = subprocess.run(
            ["node", *preload, str(program)], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    assert done.stdout == "fits\n", done.stderr


def check_hooks_have_a_stage_and_a_state():
    from localstack.runtime.init import Stage, State, init_script_manager

    assert {Stage.START, State.ERROR}
    assert Stage.START in init_script_manager().scripts


def check_the_service_index_has_a_name_and_a_builder():
    from localstack.aws import spec

    assert spec._get_catalog_filename().endswith(".dill")
    assert parameters(spec.build_service_index_cache) == ["file_path"]


if __name__ == "__main__":
    report(globals())
