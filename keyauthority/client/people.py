"""Whom a service acts for, told to the authority in call metadata."""

from __future__ import annotations

from keyauthority.v1.person_pb2 import Person


def person_metadata(person_id: str, name: str) -> tuple[tuple[str, bytes]]:
    """The call metadata that names the person for whom a call is made.

    Beside that of `bearer_metadata`, of a caller that may act for people; the limits of both texts
    are those of the contract's `Person`.
    """
    person = Person(id=person_id, name=name)
    return (("x-opentoken-person-bin", person.SerializeToString()),)
