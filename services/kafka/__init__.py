"""Apache Kafka: the broker natively, and its command-line tools."""
