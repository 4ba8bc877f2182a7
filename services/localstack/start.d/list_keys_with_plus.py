"""LocalStack runs this inside itself before it listens: listings of more than 1000 objects are complete.

boto3 asks for URL-encoded keys. LocalStack 4.9 then compares the encoded keys with a plain StartAfter, Marker or
continuation token and leaves out every later key with a character that is encoded, such as the `+` in the sink's.
So the listing is made plain, and encoded at the end.
"""

import functools
from urllib.parse import quote

from localstack.services.s3.provider import S3Provider

ENCODED = ("Delimiter", "Prefix", "StartAfter", "Marker", "NextMarker")


def encode_afterwards(listing):
    @functools.wraps(listing)
    def complete(self, context, bucket, *args, encoding_type=None, **kwargs):
        page = listing(self, context, bucket, *args, encoding_type=None, **kwargs)
        if encoding_type:
            page["EncodingType"] = encoding_type
            for item in page.get("Contents") or []:
                item["Key"] = quote(item["Key"])
            for item in page.get("CommonPrefixes") or []:
                item["Prefix"] = quote(item["Prefix"])
            page.update({name: quote(page[name]) for name in ENCODED if page.get(name)})
        return page

    return complete


S3Provider.list_objects = encode_afterwards(S3Provider.list_objects)
S3Provider.list_objects_v2 = encode_afterwards(S3Provider.list_objects_v2)
