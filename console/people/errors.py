"""What goes wrong with the console's books. Each message is a sentence that a person may read."""

from __future__ import annotations


class PeopleError(Exception):
    """What was asked was not done, and nothing was changed."""


class StoreUnavailable(PeopleError):  # noqa: N818
    """The books can't be read or written now; nothing may be taken for granted."""


class NotFound(PeopleError):  # noqa: N818
    """There is no such person, member, session, invitation or submission."""


class LinkInvalid(PeopleError):  # noqa: N818
    """The link is unknown, was used, was replaced or withdrawn, or has expired."""

    def __init__(self) -> None:
        super().__init__("This link is no longer good.")


class LinkForAnother(PeopleError):  # noqa: N818
    """The invitation is for another address than that of who wants to accept it."""

    def __init__(self) -> None:
        super().__init__("This invitation is for somebody else.")


class LastOwner(PeopleError):  # noqa: N818
    """The workspace would be left without an owner."""

    def __init__(self) -> None:
        super().__init__("A workspace always keeps one owner. Make somebody else an owner first.")


class LastAdministrator(PeopleError):  # noqa: N818
    """Nobody would be left who can administer the console."""

    def __init__(self) -> None:
        super().__init__("One administrator must remain. Make somebody else one first.")


class OwnAccount(PeopleError):  # noqa: N818
    """Nobody shuts themselves out."""

    def __init__(self) -> None:
        super().__init__("You can’t disable your own account. Another administrator can.")


class AlreadyMember(PeopleError):  # noqa: N818
    """The person is a member of the workspace."""

    def __init__(self) -> None:
        super().__init__("This person is a member of the workspace already.")


class EmailTaken(PeopleError):  # noqa: N818
    """Somebody has an account with that address."""

    def __init__(self) -> None:
        super().__init__("There is an account with this address already.")


class IdentityTaken(PeopleError):  # noqa: N818
    """Somebody signs in with that account of the OpenID provider."""

    def __init__(self) -> None:
        super().__init__("This sign-in belongs to another account.")


class AnotherIdentity(PeopleError):  # noqa: N818
    """The person signs in with another account of the same OpenID provider."""

    def __init__(self) -> None:
        super().__init__(
            "This address belonged to another sign-in at the provider: ask an administrator."
        )


class FieldInvalid(PeopleError):  # noqa: N818
    """*field* can't hold what was typed; the message says why and doesn't repeat it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class WeakPassword(FieldInvalid):
    """The password would be guessed."""

    def __init__(self, sentence: str) -> None:
        super().__init__("password", sentence)
