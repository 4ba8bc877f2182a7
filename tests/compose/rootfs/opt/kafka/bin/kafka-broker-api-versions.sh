#!/bin/sh
exec java $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS -cp '/opt/pinflow/.pinflow/jars/kafka/*' \
    org.apache.kafka.tools.BrokerApiVersionsCommand "$@"
