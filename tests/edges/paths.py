"""Targets of requests, by whether some API reads them outside `/v1`."""

from __future__ import annotations

from posixpath import normpath
from urllib.parse import unquote

OUTSIDE = [
    "/v1/..",
    "/v1/../admin",
    "/v1/%2e%2e/admin",
    "/v1/.%2e/admin",
    "/v1/a/../../admin",
    "/v1//../x",
    "/v1/..%2fadmin",
    "/v1/%2f..",
    "/v1/a%2f..%2f..",
    "/v1/x/..%2F",
    "/v1/x/.%2f../../admin",
    "/v1/..%5cadmin",
    "/v1/%2e%2e%5cadmin",
    "/v1/..\\admin",
    "/v1/a\\..\\..\\admin",
    "/v1/..;/admin",
    "/v1/%2e%2e;/admin",
    "/v1/..;a=b/admin",
    "/v1/%zz/../../admin",
    "/v1/%zz/%2e%2e/%2e%2e/admin",
    "/v1/%/../../admin",
    "/v1/%2/../../admin",
    "/v1/%00/../../admin",
    "/v1/a%00/..%2f..%2fadmin",
    "/v1/..?/v1/models",
    "/admin/../v1/models",
    "/admin/..%2fv1/x",
    "/admin%2f..%2fv1/models",
    "/./v1/models",
    "//v1/models",
    "/v1%2fmodels",
    "/V1/models",
    "/%76%31/models",
    "/admin",
    "/v1/models#/../x",
]
"""Targets that some API reads outside `/v1`."""

INSIDE = [
    "/v1/models/google%2Fgemini-3-flash",
    "/v1/a..%2fb",
    "/v1/.../x",
    "/v1/%2ewell",
    "/v1/a+b/c",
    "/v1/a%20b;c=d",
    "/v1/%41%2D",
    "/v1/models?x=/../y",
]


def is_inside(target: str) -> bool:
    """Whether all APIs read *target* below `/v1`: as it is, decoded, without parameters, as on Windows."""
    path = target.partition("?")[0]
    decoded = unquote(path, "latin-1").replace("\\", "/")
    readings = [decoded, "/".join(part.partition(";")[0] for part in decoded.split("/"))]
    return path.startswith("/v1/") and all(normpath(one).startswith("/v1/") for one in readings)
