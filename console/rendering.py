"""From a template and what it shows to the text of a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from console import moments, words
from console.assets import Assets
from console.paths import url

CSRF_FIELD: Final = "csrf"

# What every page may read; a page that nobody has signed in for gets these.
_NOBODY: Final[dict[str, Any]] = {
    "me": None,
    "session": None,
    "csrf": "",
    "workspace": None,
    "other_workspaces": (),
    "section": "",
    "may": frozenset(),
    "notice": None,
    "request_id": "",
    "local_accounts": True,
    "oidc_name": None,
}


class Rendering:
    """The templates, compiled once.

    Args:
        assets: The static files that pages link to.
        clock: The time now, for what is told as "3 days ago".
    """

    def __init__(self, assets: Assets, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._environment = Environment(
            loader=PackageLoader("console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(moment=_moment, day=_day, ago=self._ago)
        self._environment.globals.update(
            csrf_field=_csrf_field, asset=assets.href, url=url, words=words
        )

    def render(self, template: str, **context: Any) -> str:
        """Return the page *template*, such as `keys.html`, showing *context*.

        Raises:
            jinja2.UndefinedError: If the template reads what *context* does not hold.
        """
        return self._environment.get_template(template).render(_NOBODY | context)

    @pass_context
    def _ago(self, context: Context, time: datetime) -> Markup:
        return moments.ago(time, _zone(context), self._clock())


@pass_context
def _moment(context: Context, time: datetime) -> Markup:
    return moments.moment(time, _zone(context))


@pass_context
def _day(context: Context, time: datetime) -> Markup:
    return moments.day(time, _zone(context))


@pass_context
def _csrf_field(context: Context) -> Markup:
    token = context["csrf"]
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)


def _zone(context: Context) -> tzinfo:
    me = context["me"]
    return moments.zone_of(me.time_zone if me else "")
