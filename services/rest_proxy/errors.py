"""Errors of the REST Proxy's API: an HTTP status, a code of Confluent's, a message.

Source of the codes: https://docs.confluent.io/platform/current/kafka-rest/api.html#crest-api-v2 and, where the
real proxy differs from it, what was recorded from it (tests/recorded/rest_proxy).
"""

from __future__ import annotations

from http import HTTPStatus

from kafka.errors import IllegalStateError, KafkaError, RetriableError

_KAFKA_ERROR = 50002
_RETRIABLE_KAFKA_ERROR = 50003


class RestError(Exception):
    """Answered with ``{"error_code": code, "message": message}`` under an HTTP status."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Unreadable(Exception):
    """A path or header that the real one's web server refuses before the API sees it: 400 with an HTML page."""

    PAGE = "<h1>Bad Message 400</h1><pre>reason: Bad Request</pre>"


def http_error(status: int) -> RestError:
    """An error without a code of its own: the status itself, in the real one's words."""
    phrase = HTTPStatus(status).phrase
    return RestError(status, status, phrase if status == 500 else f"HTTP {status} {phrase}")


def malformed(message: str) -> RestError:
    """The body is not JSON, or its fields and types are not those of the call."""
    return RestError(400, 400, message)


def unprocessable(message: str, code: int = 422) -> RestError:
    """The body has the right fields and types, and a value that the call does not accept."""
    return RestError(422, code, message)


def invalid_consumer_config(message: str) -> RestError:
    """A setting of a consumer instance has an invalid value."""
    return unprocessable(f"Invalid consumer configuration: {message}", 42204)


def topic_not_found() -> RestError:
    """40403 is what the real one answers; its documentation says 40401."""
    return RestError(404, 40403, "This server does not host this topic-partition.")


def partition_not_found() -> RestError:
    """The topic exists, the partition does not."""
    return RestError(404, 40402, "Partition not found.")


def instance_not_found() -> RestError:
    """No such consumer instance, or it expired."""
    return RestError(404, 40403, "Consumer instance not found.")


def illegal_state(message: str) -> RestError:
    """A call on a consumer that its subscription or assignment does not allow."""
    return RestError(409, 40903, f"Illegal state: {message}")


def kafka_code(error: BaseException) -> int:
    """The code of Kafka's failure: 50003 if a retry can help, else 50002."""
    # IllegalStateError: the producer was replaced while the record was in flight; the next one may write it.
    return _RETRIABLE_KAFKA_ERROR if isinstance(error, RetriableError | IllegalStateError) else _KAFKA_ERROR


def kafka_failure(error: KafkaError) -> RestError:
    """A failure of Kafka's as the answer to a whole request."""
    code = kafka_code(error)
    kind = "Retriable Kafka error" if code == _RETRIABLE_KAFKA_ERROR else "Kafka error"
    return RestError(500, code, f"{kind}: {error}")
