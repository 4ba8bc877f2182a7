"""LocalStack runs this inside itself before it listens: until the template is deployed, callers get 503.

Without it the first seconds after a restart look like a world without buckets and without an API (404), which
clients take for final; 503 is what boto3, S3A and the emulator try again. Calls of LocalStack's own services and
of the deployment itself pass.
"""

from localstack.runtime import get_current_runtime

HEADER = "x-localstack-data"  # what LocalStack's services put on calls of each other
DEPLOYMENT = "pinflow-deployment"  # in the user agent of ready.d/deploy_template.py

runtime = get_current_runtime()


def answer_503_until_ready(chain, context, response):
    request = context.request
    if (
        runtime.is_ready()
        or request.path.startswith("/_localstack/")
        or HEADER in request.headers
        or DEPLOYMENT in request.headers.get("User-Agent", "")
    ):
        return
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    response.headers["Content-Type"] = "application/json"
    response.set_response(b'{"message": "LocalStack is starting: its resources are being made"}')
    chain.stop()


runtime.components.gateway.request_handlers.insert(0, answer_503_until_ready)
