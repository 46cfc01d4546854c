import asyncio
import os
from pathlib import Path

from keyauthority.client import Verdict, VerificationUnavailable, Verifier, load_token

ADDRESS = os.environ["KEYAUTHORITY_ADDRESS"]
TOKEN = load_token(Path(os.environ["KEYAUTHORITY_DATA_DIR"], "gateway.token"))
SCOPE = "hello:read"  # what a key with scopes needs; one without may do everything


async def answer(verifier: Verifier, secret: str) -> tuple[int, str]:
    try:
        verification = await verifier.verify(secret)
    except VerificationUnavailable:
        return 503, "there is no verdict, which says nothing about the key"
    if verification.verdict is Verdict.WORKSPACE_SUSPENDED:
        return 403, verification.verdict.name
    if verification.verdict is not Verdict.VALID or verification.key is None:
        return 401, verification.verdict.name
    if verification.key.scopes and SCOPE not in verification.key.scopes:
        return 403, "the key is limited to other scopes"
    return 200, f"Hello, {verification.workspace_id}"


async def main() -> None:
    async with Verifier(ADDRESS, token=TOKEN) as verifier:
        print(*await answer(verifier, os.environ["OPENTOKEN_API_KEY"]))
        print(*await answer(verifier, "sk-optk-nonsense"))


asyncio.run(main())
