"""Checks the topics before the first batch: the REST proxy blocks each record to a missing one for ten seconds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from emulator.authorization import SigningError
from emulator.delivery import CONNECT_TIMEOUT, json_object, session
from foundation.errors import PinflowError
from foundation.profile import Profile

# No such topic, in the REST proxy's versions, and a name that no topic can have. A 404 without such a code is API
# Gateway's.
_ABSENT = ((404, 40401), (404, 40403), (400, 40002))
_ANSWER_WITHIN = 10.0


def require_topics(profile: Profile, auth: AuthBase | None) -> None:
    """Raise PinflowError for topics that Kafka does not have.

    A topic that cannot be looked up counts as existing: the problem may pass, and each batch is retried.
    """
    with ThreadPoolExecutor() as pool:
        absent = list(pool.map(lambda topic: _is_absent(profile.api.invoke_url, topic, auth), profile.topics))
    missing = [topic for topic, gone in zip(profile.topics, absent, strict=True) if gone]
    if missing:
        make = "`make up` makes them" if profile.stack else "run create-topics.sh of `make client-config` on EC2"
        raise PinflowError(
            f"Kafka has no topic {', '.join(missing)}; nothing was posted", f"{make}, or correct the uid"
        )


def _is_absent(invoke_url: str, topic: str, auth: AuthBase | None) -> bool:
    url = f"{invoke_url}/topics/{quote(topic, safe='')}"
    # API Gateway would add application/json, which the REST proxy answers with 415.
    headers = {"Content-Type": "application/vnd.kafka.v2+json"}
    try:
        with session(url, auth) as client:
            answer = client.get(url, headers=headers, timeout=(CONNECT_TIMEOUT, _ANSWER_WITHIN), allow_redirects=False)
    except (requests.RequestException, SigningError):
        return False
    return (answer.status_code, json_object(answer).get("error_code")) in _ABSENT
