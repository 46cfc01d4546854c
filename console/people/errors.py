"""The errors of the console's books. Each message is a sentence that a person may read."""

# ruff: noqa: N818  # Named for what they tell the caller.

from __future__ import annotations


class PeopleError(Exception):
    """The call changed nothing. The message is *sentence*, which most subclasses set themselves."""

    sentence = ""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or self.sentence)


class StoreUnavailable(PeopleError):
    """The database can't be read or written now, so nothing is known of the call's outcome."""


class NotFound(PeopleError):
    """The person, member, session or invitation does not exist, or the caller lost the right."""


class LinkInvalid(PeopleError):
    """The link is unknown, was used, replaced or withdrawn, or has expired."""

    sentence = "This link no longer works."


class LinkForAnother(PeopleError):
    """The invitation is for another address than that of the person who accepts it."""

    sentence = "This invitation is for somebody else."


class LastOwner(PeopleError):
    """The change would leave the workspace without an owner."""

    sentence = "A workspace always keeps one owner. Make somebody else an owner first."


class LastAdministrator(PeopleError):
    """The change would leave the console without an administrator."""

    sentence = "One administrator must remain. Make somebody else one first."


class OwnAccount(PeopleError):
    """Administrators can't disable their own accounts."""

    sentence = "You can’t disable your own account. Another administrator can."


class AlreadyMember(PeopleError):
    """The person is a member of the workspace."""

    sentence = "This person is a member of the workspace already."


class EmailTaken(PeopleError):
    """Another account has this address."""

    sentence = "There is an account with this address already."


class IdentityTaken(PeopleError):
    """Another person signs in with this account of the OpenID provider."""

    sentence = "This sign-in belongs to another account."


class AnotherIdentity(PeopleError):
    """The person signs in with another account of the same OpenID provider."""

    sentence = "This address belonged to another sign-in at the provider: ask an administrator."


class FieldInvalid(PeopleError):
    """A person typed an invalid value into *field*; the message says why and doesn't repeat it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class WeakPassword(FieldInvalid):
    """The password is too short, too long or too easy to guess."""

    def __init__(self, sentence: str) -> None:
        super().__init__("password", sentence)
