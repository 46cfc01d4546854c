"""Pages that say what went wrong, and what to do now."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console import security
from console.forms import BadFormError, without_secret
from console.paths import url
from console.visit import Visit
from keyauthority.base.http.answer import Answer

HOME: Final = "/"

AWAY: Final = (
    "The key authority doesn’t answer at the moment. Nothing you typed is lost: press the button "
    "again in a moment. Pressing it twice does nothing twice."
)
"""What a form says that is shown again because the authority is away."""

SPENT: Final = (
    "This form was sent before, and we can’t tell any more what came of it. Nothing was done just "
    "now. Look at the list of keys first; then press the button again if you still need to."
)
"""What a form says that was sent before, too long ago for its answer to be known."""

_NO_COOKIE: Final = (
    "Your browser sent no cookie with this form, so nothing was done. Allow cookies for this "
    "address, and open the page again; over plain http some browsers don’t keep any: then open the "
    "console by https."
)


async def not_found(visit: Visit) -> Answer:
    """There is nothing here, or nothing for this person: the two are not told apart."""
    return _problem(
        visit, 404, "Not found", "There is no such page, or it isn’t yours to see.", home="/"
    )


async def forbidden(visit: Visit) -> Answer:
    """They are a member, but their role doesn't reach so far."""
    role = visit.role.name.lower() if visit.role is not None else "visitor"
    text = f"As a {role} you can’t do this here. Ask an owner of the workspace for another role."
    return _problem(visit, 403, "Not with your role", text, home=_keys_of(visit))


async def stale(visit: Visit) -> Answer:
    """The form is of another sign-in, or of none."""
    if not visit.cookie:
        return _problem(visit, 403, "No cookie", _NO_COOKIE, retry=_here(visit))
    text = "This form is from before you signed in or out. Nothing was done: open the page again."
    return _problem(visit, 403, "This form is out of date", text, retry=_here(visit))


def no_password(visit: Visit) -> Answer:
    """Whoever it is signs in elsewhere."""
    text = "You sign in without a password here, so there is none to change."
    return _problem(visit, 409, "You have no password", text, home=url("account"))


def foreign(visit: Visit) -> Answer:
    """Another site had the browser send this."""
    text = "This request didn’t come from a page of this console, so nothing was done."
    return _problem(visit, 403, "Refused", text)


def signed_out(visit: Visit) -> Answer:
    """Whoever it is must sign in first, and comes back here then."""
    address = visit.request.rel_url
    # What was searched for may be a secret, which has no place in yet another address.
    kept = without_secret(address.path_qs) == address.path_qs
    target = address.raw_path_qs if visit.reading and kept else _here(visit)
    query = {"next": target}
    if security.cookie(visit.request.cookies, security.SESSION):
        visit.forget_cookie(security.SESSION)
    if not visit.reading:
        query["done"] = "signed-out-meanwhile"
        visit.keep_notice(query["done"])
    return visit.redirect(f"{url('sign_in')}?{urlencode(query)}")


def authority_unavailable(visit: Visit) -> Answer:
    """The authority gives no answer."""
    text = (
        "The key authority doesn’t answer at the moment, so this page can’t be shown. "
        "The API refuses nobody for that, but within seconds it answers nobody either; revoking has "
        "to wait until it is back."
    )
    if not visit.reading:
        text = (
            "The key authority didn’t answer, so we can’t tell whether that was done. "
            "Look again in a moment; doing it twice does no harm."
        )
    return _problem(visit, 503, "The key authority is away", text, retry=_here(visit))


def store_unavailable(visit: Visit) -> Answer:
    """The console's own books can't be read."""
    text = "The console can’t read its own records at the moment. Keys are not affected."
    visit.session = None
    return _problem(visit, 503, "The console is away", text, retry=_here(visit))


def bad_form(visit: Visit, error: BadFormError) -> Answer:
    """What was sent is no form of ours."""
    return _problem(visit, error.status, "That can’t be read", error.sentence)


def internal(visit: Visit) -> Answer:
    """The console's own fault."""
    text = "Something went wrong in the console. Its log has the details under the number below."
    return _problem(visit, 500, "That is our fault", text, retry=_here(visit))


def _problem(
    visit: Visit, status: int, heading: str, text: str, *, retry: str | None = None, home: str = "/"
) -> Answer:
    return visit.rendered(
        "error.html",
        status,
        **visit.bare_context(forms=False),
        status=status,
        heading=heading,
        text=text,
        retry_href=retry,
        home_href=home,
    )


def _here(visit: Visit) -> str:
    # Where a form can be opened again: its own page, or the one above it.
    path = visit.request.rel_url.raw_path
    return path if visit.readable else HOME


def _keys_of(visit: Visit) -> str:
    return f"/workspaces/{visit.workspace_id}/keys" if "workspace" in visit.path else HOME
