"""Authorization at API Gateway, if the profile asks for it: a signature (SigV4), an API key, or both."""

from __future__ import annotations

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError
from requests import PreparedRequest
from requests.auth import AuthBase

from foundation.errors import PinflowError, brief
from foundation.profile import Profile

_SIGN_IN = "aws sso login, aws configure, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class SigningError(PinflowError):
    """The credentials cannot be refreshed, for example because the session expired; signing in again fixes it."""


def authorization(profile: Profile) -> AuthBase | None:
    """For `requests`: signs each attempt, since a signature is valid for minutes only; None if no authorization is set.

    Raises PinflowError if requests must be signed and there are no valid credentials.
    """
    api = profile.api
    credentials = _credentials(profile) if api.authorization == "iam" else None
    key = api.api_key.get_secret_value() if api.api_key else None
    return _Authorization(credentials, profile.aws.region, key) if credentials or key else None


class _Authorization(AuthBase):
    def __init__(self, credentials: Credentials | None, region: str, key: str | None) -> None:
        self._credentials, self._region, self._key = credentials, region, key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._key:
            request.headers["x-api-key"] = self._key
        if self._credentials:
            signed = AWSRequest(
                str(request.method), request.url, {"Content-Type": request.headers["Content-Type"]}, request.body
            )
            # Frozen at each call: keys of a role are refreshed in between.
            SigV4Auth(_frozen(self._credentials), "execute-api", self._region).add_auth(signed)
            request.headers.update(dict(signed.headers.items()))
        return request


def _credentials(profile: Profile) -> Credentials:
    aws = profile.aws
    if aws.access_key_id and aws.secret_access_key:
        return Credentials(aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value())
    try:
        found: Credentials | None = boto3.session.Session().get_credentials()
    except BotoCoreError as error:
        raise PinflowError(f"{profile.path}: aws: {brief(error)}", _SIGN_IN) from None
    if found is None:
        raise PinflowError(
            f"{profile.path}: api.authorization is iam, and there are no AWS credentials to sign with",
            _SIGN_IN,
        )
    # The keys of a role or a session are fetched with their first use, which must not be the first post.
    _frozen(found)
    return found


def _frozen(credentials: Credentials) -> ReadOnlyCredentials:
    try:
        return credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError, RuntimeError) as error:  # RuntimeError: refreshed, and expired all the same
        raise SigningError(f"no credentials to sign with: {brief(error)}", _SIGN_IN) from None
