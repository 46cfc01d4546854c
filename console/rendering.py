"""Pages from templates, and the static files they link to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from console import amounts, moments, words
from console.paths import url

STATIC: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

CSRF_FIELD: Final = "csrf"

# The values that every page reads, for a visitor who isn't signed in.
_NOBODY: Final[dict[str, Any]] = {
    "me": None,
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


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file. Browsers may keep it for ever: `name`, `console.<hash>.css`, has its hash."""

    name: str
    content_type: str
    body: bytes


class Assets:
    """The static files in *folder*, in memory."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = [path for path in folder.iterdir() if path.suffix in _TYPES]
        self._by_source = {path.name: _read(path) for path in files}
        self._by_name = {asset.name: asset for asset in self._by_source.values()}

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Asset | None:
        """Returns the file served under *name*, which has the hash in it; None if there is none."""
        return self._by_name.get(name)

    def href(self, source: str) -> str:
        """Returns the path of the file written as *source* (`console.css`)."""
        return url("static", name=self._by_source[source].name)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    digest = sha256(body).hexdigest()[:12]
    return Asset(f"{path.stem}.{digest}{path.suffix}", _TYPES[path.suffix], body)


class Rendering:
    """The templates, compiled once.

    Args:
        assets: The static files that pages link to.
        clock: The time now, for times such as "3 days ago".
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
        self._environment.filters.update(
            moment=_moment,
            day=_day,
            ago=self._ago,
            calendar_day=moments.calendar_day,
            credits=amounts.markup,
            plain_credits=amounts.text,
            signed=_signed,
        )
        self._environment.globals.update(
            csrf_field=_csrf_field, asset=assets.href, url=url, words=words
        )

    def render(self, template: str, **context: Any) -> str:
        """Returns the page *template*, such as `keys.html`, showing *context*.

        Raises:
            jinja2.UndefinedError: The template reads a value that *context* lacks.
        """
        return self._environment.get_template(template).render(_NOBODY | context)

    @pass_context
    def _ago(self, context: Context, time: datetime) -> Markup:
        return moments.ago(time, _zone(context), self._clock())


def _signed(nano_credits: int) -> Markup:
    return amounts.markup(nano_credits, signed=True)


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
