"""A stand-in for Confluent REST Proxy, API v2: the calls that produce, look at topics, and consume."""
