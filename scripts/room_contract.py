"""An import contract: a room imports itself, the standard library and what is listed, no more.

Contracts that forbid modules let a new dependency in until somebody forbids it too; this one
refuses whatever isn't listed.
"""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_STRINGS = fields.ListField(subfield=fields.StringField(), required=False, default=())


class RoomContract(Contract):
    """``room`` may import ``may_import`` and what is below that; ``exceptions`` are single imports.

    The linter replaces each field by its value, hence the types.
    """

    room: str = fields.StringField()  # type: ignore[assignment]
    may_import: list[str] = _STRINGS  # type: ignore[assignment]
    exceptions: list[str] = _STRINGS  # type: ignore[assignment]

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        if self.room not in graph.modules:
            return ContractCheck(kept=False, metadata={"strays": [f"no module {self.room}"]})
        strays = [
            f"{importer} -> {imported}"
            for importer in sorted({self.room, *graph.find_descendants(self.room)})
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._allows(importer, imported)
        ]
        return ContractCheck(kept=not strays, metadata={"strays": strays})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for stray in check.metadata["strays"]:
            output.print_error(stray)

    def _allows(self, importer: str, imported: str) -> bool:
        return (
            imported.partition(".")[0] in sys.stdlib_module_names
            or f"{importer} -> {imported}" in self.exceptions
            or any(f"{imported}.".startswith(f"{a}.") for a in (self.room, *self.may_import))
        )
