"""LocalStack runs this inside itself before it listens: a payload over AWS's limit of 10 MB is a 413, as on AWS.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
"""

from localstack.runtime import get_current_runtime

LIMIT = 10_485_760  # bytes


def size(request):
    """Bytes of the body; of one without a Content-Length (in chunks) those that LocalStack has received."""
    return len(request.get_data()) if request.content_length is None else request.content_length


def limit_payload(chain, context, response):
    request = context.request
    if request.path.startswith("/_aws/execute-api/") and size(request) > LIMIT:
        response.status_code = 413
        response.headers["Content-Type"] = "application/json"
        response.set_response(b'{"message": "HTTP content length exceeded %d bytes."}' % LIMIT)
        chain.stop()


get_current_runtime().components.gateway.request_handlers.insert(0, limit_payload)
