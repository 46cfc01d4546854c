"""The fields of a key that are typed: read from a form, and found fault with beside it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from console.forms import Form
from console.moments import end_of_day, zone_of
from console.visit import Visit
from keyauthority.client.admin import Reason, RefusedError

PRESETS: Final = {
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=365),
}

_ABOUT: Final = {"expire_time": "that day", "name": "the name", "note": "the note"}
_FIELD_OF: Final = {"expire_time": "expire_date", "ttl": "expires", "scopes": "scopes"}


def scopes(form: Form) -> list[str]:
    """The scopes that were typed, by spaces, commas or lines."""
    return [one for one in re.split(r"[\s,]+", form.values["scopes"]) if one]


def expiry(visit: Visit, form: Form) -> datetime | timedelta | None:
    """When the key is to end; what is wrong with it goes into the form."""
    chosen = form.values["expires"]
    if chosen in PRESETS:
        return PRESETS[chosen]
    if chosen == "date":
        return _end_of_day(visit, form)
    if chosen != "never":
        form.errors["expires"] = "Choose when it ends."
    return None


def refuse(form: Form, error: RefusedError) -> None:
    """Puts what the authority says beside the field it is about."""
    field = error.field.partition("[")[0]
    field = _FIELD_OF.get(field, field)
    if error.reason is Reason.WORKSPACE_SUSPENDED:
        form.problem = "The workspace is suspended: no key can be made in it until it is resumed."
    elif error.reason is Reason.REQUEST_ID_REUSED:
        form.problem = (
            "This form has made a key already. Look at the list, and open the form again."
        )
    elif field in form.values:
        form.errors[field] = said(error)
    else:
        form.problem = said(error)


def said(error: RefusedError) -> str:
    """What the authority says, as a sentence that doesn't name its fields."""
    about, text = _ABOUT.get(error.field), error.message
    if about and text.startswith(error.field + " "):
        text = about + text.removeprefix(error.field)
    return f"{text[:1].upper()}{text[1:]}."


def _end_of_day(visit: Visit, form: Form) -> datetime | None:
    try:
        end = end_of_day(form.values["expire_date"], zone_of(visit.me.time_zone))
    except ValueError as error:
        form.errors["expire_date"] = str(error)
        return None
    if end <= visit.now:
        form.errors["expire_date"] = "That day is over: choose a later one."
        return None
    return end
