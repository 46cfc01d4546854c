"""What we use of aiohttp's own: all of it is listed, and all that is listed is still there."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType

import pytest
from aiohttp import web, web_protocol

import console
import gateway
from keyauthority.base import http
from keyauthority.base.http import aiohttp_private
from keyauthority.base.http.aiohttp_private import PRIVATE, READ_AHEAD, limit_read_ahead

LISTED = [(owner, name) for owner, names in PRIVATE.items() for name in names]


@pytest.mark.parametrize(("owner", "name"), LISTED, ids=lambda one: getattr(one, "__name__", one))
def test_what_is_listed_has_not_moved(owner: type, name: str) -> None:
    """The class of aiohttp still has it."""
    assert name in names_of(owner)


def test_whatever_is_used_of_an_aiohttp_class_is_listed() -> None:
    """A name that aiohttp keeps to itself can't be used unnoticed by a class built on one of its own."""
    used = {(one.__name__, name) for one in our_classes() for name in privates_in(one)}
    names = {name for _, name in LISTED}

    assert {(one, name) for one, name in used if name not in names} == set()


def test_no_other_file_imports_a_private_name() -> None:
    """A name that begins with an underscore is imported where all of them are listed."""
    importers = {
        module.__name__
        for module in our_modules()
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp")
        for alias in node.names
        if alias.name.startswith("_")
    }

    assert importers == {aiohttp_private.__name__}


def test_nothing_is_listed_that_nobody_uses() -> None:
    """A name that we have stopped using leaves the list."""
    used = {name for one in our_classes() for name in names_in(one)}

    assert {name for _, name in LISTED} - used == set()


def test_our_methods_take_what_those_they_replace_take() -> None:
    """Their caller is aiohttp, and knows no other parameters."""
    for one in our_classes():
        for name, method in vars(one).items():
            replaced = next(
                (vars(base)[name] for base in aiohttps(one) if name in vars(base)), None
            )
            if inspect.isfunction(method) and inspect.isfunction(replaced) and name != "__init__":
                assert len(parameters(method)) == len(parameters(replaced)), (one, name)


async def test_heads_are_read_ahead_to_a_limit() -> None:
    """A connection still copies the limit from the module when it is made."""
    limit_read_ahead()

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    handler = web.Server(answer)()

    assert web_protocol.MAX_MSG_QUEUE_SIZE == READ_AHEAD
    assert handler._max_msg_queue_size == READ_AHEAD


def our_modules() -> Iterator[ModuleType]:
    for package in (http, gateway, console):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                yield importlib.import_module(module.name)


def our_classes() -> Iterator[type]:
    for module in our_modules():
        for one in vars(module).values():
            if inspect.isclass(one) and one.__module__ == module.__name__ and aiohttps(one):
                yield one


def aiohttps(one: type) -> list[type]:
    return [base for base in one.__mro__ if base.__module__.startswith("aiohttp.")]


def names_of(owner: type) -> set[str]:
    """All attributes of *owner*, also those that only its methods set, and its parameters."""
    names: set[str] = set()
    for base in aiohttps(owner):
        names |= {*vars(base), *vars(base).get("__annotations__", ()), *slots(base)}
        names |= set(re.findall(r"self\.(\w+)", inspect.getsource(base)))
        if inspect.isfunction(vars(base).get("__init__")):
            names |= set(parameters(vars(base)["__init__"]))
    return names


def slots(base: type) -> tuple[str, ...]:
    return tuple(vars(base).get("__slots__", ()))


def names_in(one: type) -> set[str]:
    """All names that the text of a class of ours has: read, written, overridden or passed."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            names.add(node.arg)
    return names


def privates_in(one: type) -> set[str]:
    theirs = set().union(*(names_of(base) for base in aiohttps(one)))
    return {
        name
        for name in names_in(one) & theirs
        if name.startswith("_") and not name.startswith("__")
    }


def parameters(method: object) -> list[str]:
    assert callable(method)
    return list(inspect.signature(method).parameters)
