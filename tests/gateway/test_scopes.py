"""Scopes that paths ask for."""

from __future__ import annotations

import pytest

from gateway.scopes import ScopeRule, ScopeRules

RULES = ScopeRules([ScopeRule.parse("/v1/images=images"), ScopeRule.parse("/v1/files/=files:read")])


@pytest.mark.parametrize(
    "path", ["/v1/images", "/v1/images/", "/v1/images/edits", "/v1/%69mages", "/v1/images;a/x"]
)
def test_a_rule_covers_its_prefix_and_all_below(path: str) -> None:
    """Also when letters of the path are percent-encoded."""
    assert not RULES.satisfied(path, ())
    assert RULES.satisfied(path, ("images",))


@pytest.mark.parametrize("path", ["/v1/imagesque", "/v1", "/v1/models", "/v1/file"])
def test_a_rule_covers_nothing_beside_its_prefix(path: str) -> None:
    """A prefix is of whole path segments."""
    assert RULES.satisfied(path, ())


def test_every_rule_that_covers_a_path_has_to_be_satisfied() -> None:
    """Rules add up; none overrides another."""
    rules = ScopeRules([ScopeRule.parse("/v1=api"), ScopeRule.parse("/v1/files=files")])

    assert not rules.satisfied("/v1/files", ("files",))
    assert rules.satisfied("/v1/files", ("files", "api"))


def test_without_rules_every_key_may_do_everything() -> None:
    """No scopes means full access as long as nobody asks for any."""
    assert ScopeRules().satisfied("/v1/anything", ())


@pytest.mark.parametrize("text", ["", "images", "=images", "/v1/images", "/v1/images=", "v1=x"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    """A rule that could never match is a mistake, not a setting."""
    with pytest.raises(ValueError, match="PREFIX=SCOPE"):
        ScopeRule.parse(text)
