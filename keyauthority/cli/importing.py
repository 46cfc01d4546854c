"""`keyauthority keys import`: take over keys whose secrets were minted elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Final

import click
from google.protobuf.message import Message

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.failures import Failure
from keyauthority.cli.import_lines import Line, read_lines
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, count, spread, to_dict
from keyauthority.cli.terminal import counted, shows_progress
from keyauthority.client.admin import Changed, Key, RefusedError, SpreadingError, keys

_MOST_KEYS: Final = 1_000
# Half of what a message may hold, for keys with very long labels.
_MOST_BYTES: Final = 4 << 20


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option(
    "--workspace", required=True, type=WORKSPACE, help="The workspace that will own the keys."
)
@click.option(
    "--from-line",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Begin at this line: those before it are imported already.",
)
@with_authority
def command(authority: Authority, file: IO[str], workspace: str, from_line: int) -> Answer:
    """Take over keys whose secrets were minted elsewhere.

    FILE, or - for standard input, holds one JSON object per line: "secret", "name", and optionally
    "scopes" (a list), "labels" (an object), "expire_time" (2027-01-31T12:00:00Z) or "expires_in"
    (30d). A thousand keys are imported at a time, all or none.
    """
    lines = read_lines(file, from_line)
    if not lines:
        raise click.ClickException("there is no key to import")
    first, *rest = _batches(lines)
    # Only the first import waits for verifiers: its receipt holds for all.
    reply, imported = _import(authority, workspace, first, first=True)
    document = to_dict(reply)
    _report(len(first), len(lines))
    for batch in counted(rest, "Importing", len(rest)):
        reply, _ = _import(authority, workspace, batch, first=False)
        document["keys"] += to_dict(reply)["keys"]
        _report(len(document["keys"]), len(lines))
    sentence = f"Imported {count(len(lines), 'key')} into {workspace}."
    ids = "\n".join(key["id"] for key in document["keys"])
    return Answer(document, f"{sentence} {spread(imported.receipt)}", brief=ids)


def _batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        line_size = keys.imported_key(line.key).ByteSize()
        if batch and (len(batch) == _MOST_KEYS or size + line_size > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line_size
    yield batch


def _import(
    authority: Authority, workspace: str, batch: Sequence[Line], *, first: bool
) -> tuple[Message, Changed[tuple[Key, ...]]]:
    try:
        return authority.call(keys.import_keys(workspace, [line.key for line in batch]))
    except Failure as failure:
        raise Failure(_explained(failure, batch, first=first), failure.error) from None


def _explained(failure: Failure, batch: Sequence[Line], *, first: bool) -> str:
    error, message = failure.error, failure.message
    if isinstance(error, SpreadingError):
        return (
            f"the keys up to line {batch[-1].number} are imported, but not every verifier knows "
            f"yet: go on with --from-line {batch[-1].number + 1} if there are more"
        )
    if isinstance(error, RefusedError) and error.index is not None and error.index < len(batch):
        number = batch[error.index].number
        message = f"line {number}: {message.removeprefix(f'keys[{error.index}].')}"
    if not first:
        start = batch[0].number
        message += f"; the keys before line {start} are imported: go on with --from-line {start}"
    return message


def _report(done: int, total: int) -> None:
    options = click.get_current_context().obj
    if total > _MOST_KEYS and not (options.json or options.quiet or shows_progress()):
        click.echo(f"{done:,} of {count(total, 'key')} are imported.", err=True)
