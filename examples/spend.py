import asyncio
import os
from pathlib import Path

from keyauthority.client import (
    AllHeld,
    OutOfCredits,
    Request,
    Spender,
    SpendingUnavailable,
    Verifier,
    load_token,
)

ADDRESS = os.environ["KEYAUTHORITY_ADDRESS"]
FOLDER = Path(os.environ["KEYAUTHORITY_DATA_DIR"])
NANO = 1_000_000_000  # a credit has so many nano-credits


async def answer(verifier: Verifier, spender: Spender, secret: str) -> tuple[int, str]:
    verification = await verifier.verify(secret)
    if verification.key is None:
        return 401, verification.verdict.name
    request = Request(model="summaries", path="/v1/summaries", request_id="req_1")
    try:
        async with spender.hold(verification.key, NANO // 1000, request) as spending:
            summary = "short"  # the work, which may take its time
            spending.charge(NANO // 5000, status=200)  # without it: charged as held
    except OutOfCredits:
        return 402, "the workspace has no credits left"
    except AllHeld:
        return 429, "running requests hold what is left: try again"
    except SpendingUnavailable:
        return 503, "there is no word on credits"
    return 200, summary


async def main() -> None:
    spool = FOLDER / "example-spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    token = load_token(FOLDER / "gateway.token")
    async with Verifier(ADDRESS, token=token) as verifier, Spender(verifier, spool) as spender:
        print(*await answer(verifier, spender, os.environ["OPENTOKEN_API_KEY"]))


asyncio.run(main())
