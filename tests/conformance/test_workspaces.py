"""Workspaces."""

from keyauthority.domain.ports import Store
from tests.conformance.records import MICROSECOND, START, a_workspace
from tests.transactions import changing, reading


async def test_a_workspace_comes_back_as_it_went(store: Store) -> None:
    """Every field survives, to the microsecond and in any script."""
    workspace = a_workspace(
        "ws_2",
        name="Größe 大 \"'",
        suspended=True,
        create_time=START + MICROSECOND,
        update_time=START - MICROSECOND,
        version=9,
    )
    async with changing(store) as tx:
        await tx.workspaces.insert(workspace)

    async with reading(store) as tx:
        assert await tx.workspaces.get("ws_2") == workspace
        assert await tx.workspaces.get("ws_9") is None


async def test_an_update_replaces_one_workspace(store: Store) -> None:
    """The workspace is as it was given, its neighbour as before."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    after = a_workspace("ws_2", name="other", suspended=True, update_time=START + MICROSECOND)

    async with changing(store) as tx:
        await tx.workspaces.update(after)

    async with reading(store) as tx:
        assert await tx.workspaces.page(10, None) == [after, a_workspace()]


async def test_pages(store: Store) -> None:
    """Newest first, ties by id downwards, page after page."""
    others = [
        a_workspace("ws_3", create_time=START - MICROSECOND),
        a_workspace("ws_2"),
        a_workspace("ws_0", create_time=START + MICROSECOND),
    ]
    async with changing(store) as tx:
        for workspace in others:
            await tx.workspaces.insert(workspace)

    async with reading(store) as tx:
        first = await tx.workspaces.page(2, None)
        second = await tx.workspaces.page(2, (first[-1].create_time, first[-1].id))
        third = await tx.workspaces.page(2, (second[-1].create_time, second[-1].id))

    assert [[one.id for one in page] for page in (first, second, third)] == [
        ["ws_0", "ws_2"],
        ["ws_1", "ws_3"],
        [],
    ]


async def test_several_at_once(store: Store) -> None:
    """Those that there are, by id, and no others."""
    other = a_workspace("ws_2", name="umbrella")
    async with changing(store) as tx:
        await tx.workspaces.insert(other)
        await tx.workspaces.insert(a_workspace("ws_3"))

    async with reading(store) as tx:
        assert await tx.workspaces.get_all(["ws_2", "ws_9", "ws_1"]) == {
            "ws_1": a_workspace(),
            "ws_2": other,
        }
        assert await tx.workspaces.get_all([]) == {}
