import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request

from keyauthority.client import Verdict, VerificationUnavailable, Verifier, load_token

ADDRESS = os.environ["KEYAUTHORITY_ADDRESS"]
TOKEN = load_token(Path(os.environ["KEYAUTHORITY_DATA_DIR"], "gateway.token"))
SCOPE = "hello:read"  # what a key with scopes needs; one without may do everything


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Verifier(ADDRESS, token=TOKEN) as app.state.verifier:
        yield


async def workspace_id(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "missing api key", {"WWW-Authenticate": "Bearer"})
    try:
        verification = await request.app.state.verifier.verify(secret.strip())
    except VerificationUnavailable:
        raise HTTPException(503, "no verdict") from None
    if verification.verdict is Verdict.WORKSPACE_SUSPENDED:
        raise HTTPException(403, "workspace suspended")
    if verification.verdict is not Verdict.VALID or verification.key is None:
        raise HTTPException(401, "invalid api key", {"WWW-Authenticate": "Bearer"})
    if verification.key.scopes and SCOPE not in verification.key.scopes:
        raise HTTPException(403, "insufficient scope")
    return str(verification.workspace_id)


app = FastAPI(lifespan=lifespan)


@app.get("/v1/hello")
async def hello(workspace_id: Annotated[str, Depends(workspace_id)]) -> dict[str, str]:
    return {"workspace": workspace_id}
