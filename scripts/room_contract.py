"""An import contract: a room imports itself, the standard library and what is listed, no more.

Contracts that forbid modules let a new dependency in until it is forbidden, too.
"""

import sys
from collections.abc import Iterable

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomContract(Contract):
    """`room` and what is below it may import `may_import` and what is below that.

    Rooms within it that have contracts of their own, `apart_from`, are neither checked nor allowed.
    The linter replaces each field by its value, hence the types.
    """

    room: str = fields.StringField()  # type: ignore[assignment]
    may_import: list[str] = fields.ListField(  # type: ignore[assignment]
        subfield=fields.StringField(), required=False, default=()
    )
    apart_from: list[str] = fields.ListField(  # type: ignore[assignment]
        subfield=fields.StringField(), required=False, default=()
    )

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        if self.room not in graph.modules:
            return ContractCheck(kept=False, metadata={"strays": [f"no module {self.room}"]})
        strays = [
            f"{importer} -> {imported}"
            for importer in sorted({self.room, *graph.find_descendants(self.room)})
            if not _is_in(importer, self.apart_from)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._allows(imported)
        ]
        return ContractCheck(kept=not strays, metadata={"strays": strays})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for stray in check.metadata["strays"]:
            output.print_error(stray)

    def _allows(self, imported: str) -> bool:
        if _is_in(imported, self.apart_from):
            return False
        return imported.partition(".")[0] in sys.stdlib_module_names or _is_in(
            imported, (self.room, *self.may_import)
        )


def _is_in(module: str, rooms: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{room}.") for room in rooms)
