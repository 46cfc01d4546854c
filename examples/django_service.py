import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from keyauthority.client import Verdict, VerificationUnavailable, VerifierClient, load_token

SCOPE = "hello:read"  # what a key with scopes needs; one without may do everything


@functools.cache  # one for all threads; made by the first request, after a server has forked
def verifier() -> VerifierClient:
    token = load_token(Path(os.environ["KEYAUTHORITY_DATA_DIR"], "gateway.token"))
    return VerifierClient(os.environ["KEYAUTHORITY_ADDRESS"], token=token)


def require_key(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return refusal(401, "missing api key")
        try:
            verification = verifier().verify(secret.strip())
        except VerificationUnavailable:
            return refusal(503, "no verdict")
        if verification.verdict is Verdict.WORKSPACE_SUSPENDED:
            return refusal(403, "workspace suspended")
        if verification.verdict is not Verdict.VALID or verification.key is None:
            return refusal(401, "invalid api key")
        if verification.key.scopes and SCOPE not in verification.key.scopes:
            return refusal(403, "insufficient scope")
        request.workspace_id = verification.workspace_id
        return get_response(request)

    return answer


def refusal(status: int, message: str) -> HttpResponse:
    response = JsonResponse({"error": message}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def hello(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"workspace": request.workspace_id})


urlpatterns = [path("v1/hello", hello)]

if __name__ == "__main__":
    middleware = [f"{__name__}.require_key"]
    settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["127.0.0.1"])
    execute_from_command_line(sys.argv)
