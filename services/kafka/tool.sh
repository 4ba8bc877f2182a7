#!/bin/sh
# Every bin/kafka-*.sh is a link to this file; the link's name says which of Kafka's tools is meant.
ROOT=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
PYTHON="$ROOT/.pinflow/envs/tool/bin/python"
if [ ! -x "$PYTHON" ]; then
    echo "the packages are not installed yet; run: make install (in $ROOT)" >&2
    exit 1
fi
# -P: the working directory stays the caller's own and must not be searched for modules.
PYTHONPATH="$ROOT" exec "$PYTHON" -P -m pinflow.kafka_tools "$(basename "$0" .sh)" "$@"
