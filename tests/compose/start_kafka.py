"""What the apache/kafka image's entrypoint does, with the jars of .pinflow: its own wrapper, then the broker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from services.kafka.native import FOLDER, java

SETTINGS = Path("/tmp/kafka")


def main() -> None:
    defaults, mounted, final = (SETTINGS / name for name in ("defaults", "mounted", "config"))
    for directory in (defaults, mounted, final):
        directory.mkdir(parents=True, exist_ok=True)
    (mounted / "server.properties").touch()
    arguments = ["--default-configs-dir", defaults, "--mounted-configs-dir", mounted, "--final-configs-dir", final]
    done = subprocess.run(
        [*java("kafka.docker.KafkaDockerWrapper"), "setup", *map(str, arguments)], capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    if done.returncode and "already formatted" not in output:
        sys.exit(output)
    logs = f"-Dlog4j2.configurationFile={FOLDER / 'log4j2.yaml'}"
    options = (os.environ["KAFKA_HEAP_OPTS"] + " " + os.environ["KAFKA_JVM_PERFORMANCE_OPTS"]).split()
    command = [*java("kafka.Kafka", *options, logs), str(final / "server.properties")]
    os.chdir(SETTINGS)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
