"""Composition root of the gateway: makes and wires every part, and ends them in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway import authz
from gateway.allowlist import Allowlist
from gateway.authorize import Authorizer, Readiness
from gateway.billing.opening import open_billing
from gateway.billing.reading_on import ReadingOn
from gateway.config import Settings, upstream_base
from gateway.connection import Connections
from gateway.cors import CrossOrigin, PageRequest
from gateway.edge import Edge
from gateway.forward import Forwarder
from gateway.key_headers import KeyHeaders
from gateway.observe import Metrics, Observer
from gateway.request import EdgeRequest
from gateway.response_heads import HeadLimits
from gateway.sources import Attempts, Sources
from gateway.under_way import Streams
from gateway.upstream import Upstream
from keyauthority.base.http.answer import raw_answer
from keyauthority.base.http.connection import AtOnce
from keyauthority.base.http.server import Server
from keyauthority.base.process.binding import bind, server_tls
from keyauthority.base.process.lifecycle import run_until_stopped, start_errors
from keyauthority.base.process.telemetry import serve_metrics
from keyauthority.client import SECRET_MARK, Verifier, client_certificate, load_token
from keyauthority.edge.envelope import ERROR, Refusal
from keyauthority.edge.scopes import ScopeRules


async def serve(settings: Settings) -> None:
    """Runs the gateway until SIGTERM or SIGINT; raises `StartError` or `SecretFileError`."""
    await run_until_stopped(
        "gateway", running(settings), listen=settings.listen, upstream=settings.upstream
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Runs the gateway as long as the context lasts, and drains it at the end. Yields its port.

    Raises:
        StartError, SecretFileError: It cannot start; the message says why.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        edge = await _edge(settings, metrics, stack)
        server = _server(edge, settings)
        metrics.connections = lambda: {"open": len(server.connections), "busy": server.busy}
        if settings.metrics_listen is not None:
            registry = CollectorRegistry()
            registry.register(metrics)
            stack.enter_context(serve_metrics(settings.metrics_listen, registry))
        tls = server_tls(settings.tls_cert, settings.tls_key)
        listener = await server.listen(bind(settings.listen, shared=settings.share_port), tls)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            server.leave()
            await asyncio.sleep(settings.timeouts.drain_delay)
            listener.close()
            await server.drain(settings.timeouts.grace)


def _server(edge: Edge, settings: Settings) -> Server[Any]:
    handle: Callable[[Any], Awaitable[web.StreamResponse]] = edge.handle
    request_class = EdgeRequest
    if settings.cors_origin:
        handle, request_class = CrossOrigin(edge, settings.cors_origin).handle, PageRequest
    return Server(
        handle,
        edge.refuse_unparsed,
        _full_answer,
        request_class,
        settings.limits,
        SECRET_MARK,
        AtOnce(authz.PREFIX, edge.at_once),
    )


async def _edge(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Edge:
    token = load_token(settings.token_file)
    certificate = client_certificate(settings.tls_client_cert, settings.tls_client_key)
    with start_errors():
        verifier = Verifier(
            settings.authority,
            token=token,
            tls_ca=settings.tls_ca,
            client_certificate=certificate,
            cache=settings.cache,
            timeout=settings.timeouts.verify_timeout,
        )
        await stack.enter_async_context(verifier)
    metrics.verifier = verifier if settings.cache else None
    # Left before the verifier, under whose session it spends, and after the server has drained.
    billing = await open_billing(settings, verifier, metrics, stack)
    base = upstream_base(settings.upstream)
    connections = Connections(metrics.count_unsolicited, heads=HeadLimits.beside(settings.limits))
    upstream = Upstream(base, settings.timeouts, connections)
    stack.push_async_callback(upstream.close)
    key_file, key_headers = settings.upstream_key_file, KeyHeaders(settings.key_header)
    forwarder = Forwarder(
        upstream,
        load_token(key_file) if key_file is not None else None,
        Allowlist(settings.pass_header, key_headers.names),
        settings.timeouts,
        metrics.first_byte_seconds,
        ReadingOn(settings.limits.max_read_on, settings.timeouts.usage_timeout),
    )
    stack.push_async_callback(forwarder.reading_on.stop)
    attempts, sources = Attempts(settings.limits.max_refusals), Sources(settings.trusted_proxies)
    authorizer = Authorizer(verifier, attempts, sources.client, metrics, key_headers)
    streams = None
    if settings.on_revoke == "cut":
        streams = Streams(authorizer.judge_again, settings.timeouts.doubt_timeout)
        verifier.listeners.append(streams.changed)
    return Edge(
        authorizer=authorizer,
        proxy_authorizer=Authorizer(
            verifier, attempts, sources.client_of_proxy, metrics, key_headers
        ),
        forwarder=forwarder,
        streams=streams,
        billing=billing,
        rules=None if settings.scope_rules is None else ScopeRules(settings.scope_rules),
        websockets=settings.websockets,
        readiness=Readiness(verifier),
        observer=Observer(metrics, sources.client, access_log=settings.access_log),
        limits=settings.limits,
        retry_after=attempts.retry_after,
    )


def _full_answer() -> bytes:
    refusal = Refusal.VERIFICATION_UNAVAILABLE
    # It may be a proxy that connects.
    headers = {**refusal.headers, ERROR: refusal.json}
    return raw_answer(refusal.status, headers, refusal.body)
