"""Which request targets go on to the upstream."""

from __future__ import annotations

import pytest

from keyauthority.edge.envelope import Refusal
from keyauthority.edge.paths import check_path, split_target


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/models",
        "/v1/models/google/gemini-3-flash",
        "/v1/files/",
        "/v1/%41",
        "/v1/a.b/..c/c../...",
        "/v1/.well-known",
        "/v1/%2ewell",
        "/v1/a%20b;c=d",
        "/v1/%00",
        "/v1/models/google%2Fgemini-3-flash",
        "/v1/models/google%2fgemini-3-flash",
        "/v1/models/hf%3A%2F%2Forg%2Fmodel%2F",
        "/v1/models/a%2F..b%2Fc..",
    ],
)
def test_clean_paths_under_v1_go_on(path: str) -> None:
    """Whatever every parser reads the same way is the upstream's to judge."""
    assert check_path(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/..",
        "/v1/../admin",
        "/v1/./models",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/%2e/models",
        "/v1/..;/admin",
        "/v1/%2e%2e;a=b/admin",
        "/v1/..%2Fadmin",
        "/v1/a%2f..%2fb",
        "/v1/a%2F.",
        "/v1/a%2F%2E%2e",
        "/v1/%2e%2e%2fadmin",
        "/v1/a%2F..;b",
        "/v1/..;a%2Fb",
        "/v1/a%5cb",
        "/v1/a%5Cb",
        "/v1/a\\b",
        "//v1/models",
        "/v1//models",
        "/v1/models//",
        "/v1/models#x",
        "/v1/caf\u00e9",
        "http://elsewhere/v1/models",
        "v1/models",
        "*",
        "",
    ],
)
def test_paths_that_can_be_read_in_two_ways_are_refused(path: str) -> None:
    """Dot segments, also beside an encoded slash, backslashes, empty segments, other forms of target."""
    assert check_path(path) is Refusal.BAD_REQUEST


@pytest.mark.parametrize(
    "path",
    ["/", "/v2/models", "/v1x", "/V1/models", "/%76%31/models", "/v1%2Fmodels", "/%2Fv1/models"],
)
def test_other_paths_do_not_exist(path: str) -> None:
    """Only what is literally under /v1 is an endpoint."""
    assert check_path(path) is Refusal.NOT_FOUND


def test_a_target_is_split_at_its_first_question_mark() -> None:
    """The query may hold anything, question marks and dot segments too."""
    assert split_target("/v1/a?b=/../c?d") == ("/v1/a", "b=/../c?d")
