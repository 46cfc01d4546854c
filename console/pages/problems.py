"""Pages that say what went wrong, and what to do now."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from console import security
from console.forms import BadFormError, without_secret
from console.paths import url
from console.visit import Visit
from keyauthority.base.http.answer import Answer

_NO_COOKIE: Final = (
    "Your browser sent no cookie with this form, so nothing was done. Allow cookies for this "
    "address, and open the page again. Some browsers keep no cookies over plain http: open the "
    "console by https then."
)


async def not_found(visit: Visit) -> Answer:
    """Refuses a page that doesn't exist, or not for this person: both look alike."""
    return _problem(
        visit, 404, "Not found", "This page does not exist, or you have no access to it."
    )


async def link_invalid(visit: Visit) -> Answer:
    """Refuses a one-time link that was used, has expired or never existed."""
    return await visit.page("link_invalid.html", 404)


async def forbidden(visit: Visit) -> Answer:
    """Refuses a member whose role isn't enough."""
    role = visit.role.name.lower() if visit.role is not None else "visitor"
    text = f"As a {role} you can’t do this here. Ask an owner of the workspace for another role."
    return _problem(
        visit,
        403,
        "Your role does not allow this",
        text,
        home=url("keys", workspace=visit.workspace_id),
    )


async def stale(visit: Visit) -> Answer:
    """Refuses a form of another session, or of none."""
    if not visit.cookie:
        return _problem(visit, 403, "No cookie", _NO_COOKIE, retry=_here(visit))
    text = "This form is from before you signed in or out. Nothing was done: open the page again."
    return _problem(visit, 403, "This form is out of date", text, retry=_here(visit))


def no_password(visit: Visit) -> Answer:
    """Refuses to change the password of a person without one."""
    text = "You sign in without a password here, so there is none to change."
    return _problem(visit, 409, "You have no password", text, home=url("account"))


def foreign(visit: Visit) -> Answer:
    """Refuses a form that another site sent."""
    text = "This request didn’t come from a page of this console, so nothing was done."
    return _problem(visit, 403, "Refused", text)


def signed_out(visit: Visit) -> Answer:
    """Sends the visitor to sign in, and back here afterwards."""
    address = visit.request.rel_url
    # A search may contain a secret, which must not enter another address.
    has_secret = without_secret(address.path_qs) != address.path_qs
    query = {"next": address.raw_path_qs if visit.reading and not has_secret else _here(visit)}
    if security.cookie(visit.request.cookies, security.SESSION):
        visit.delete_cookie(security.SESSION)
    if not visit.reading:
        query["done"] = "signed-out-meanwhile"
        visit.set_notice(query["done"])
    return visit.redirect(f"{url('sign_in')}?{urlencode(query)}")


def authority_unavailable(visit: Visit) -> Answer:
    """Says that the authority does not answer."""
    text = (
        "The key authority doesn’t answer at the moment, so this page can’t be shown. "
        "API requests go on for a few seconds, then fail until it answers again. Keys can’t be "
        "revoked until then."
    )
    if not visit.reading:
        text = (
            "The key authority didn’t answer, so we can’t tell whether that was done. "
            "Look again in a moment; doing it twice does no harm."
        )
    return _problem(visit, 503, "The key authority is unavailable", text, retry=_here(visit))


def store_unavailable(visit: Visit) -> Answer:
    """Says that the console's database does not answer."""
    text = "The console can’t read its own records at the moment. Keys are not affected."
    visit.session = None
    return _problem(visit, 503, "The console is unavailable", text, retry=_here(visit))


def bad_form(visit: Visit, error: BadFormError) -> Answer:
    """Refuses a form that can't be read."""
    return _problem(visit, error.status, "This form can’t be read", error.sentence)


def internal(visit: Visit) -> Answer:
    """Says that the console failed."""
    text = "Something went wrong in the console. Its log has the details under the request number below."
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
    # This page, if it can be opened; else the front page.
    return visit.request.rel_url.raw_path if visit.readable else url("front")
