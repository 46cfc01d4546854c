"""What is said around the numbers."""

from __future__ import annotations

from typing import Final

EXPLANATION: Final = """\
Made by `{command}` on {date}, in {minutes:.0f} minutes; each number is from that one run. Each \
server, each load generator and the verifiers of a row are processes of their own, on uvloop where \
they are Python. Metrics are on; the access log is off on both sides unless the row says otherwise. \
A row of ratios is loaded on both sides in turn, {pairs} times for {seconds:g} s each, after a \
warm-up; **ratio** is the median of the ratios of the {pairs} pairs, with the least and the \
greatest. Above 1 we are the faster one.

**By CPU time** compares the CPU time that each of the two servers (not what stands behind it) \
takes for an answer. **Server CPU** and **load CPU** are cores kept busy, ours / theirs: a load \
generator well below one core, beside a server near one, was not the bottleneck. Only good answers \
count, and a run with any other gives no number: for HTTP the generator sees to that, for gRPC the \
authority's own counters do.

Servers, generators, verifiers and databases share the machine's cores. Absolute numbers are for \
orientation only; where the spread of a ratio is wide, the one by CPU time is the steadier. **Owed** \
is what may not be missed, by the median ratio; **aim** is what we would like."""

REMARKS: Final = """\
- Verdicts are cached, in the authority and in the gateway, and both hold a lease meanwhile. Keys \
"not in memory" are asked for with `fresh`, which no cache may answer, at random places of the books.
- The gateway's rows present one key. That its verdicts come from its cache is checked: the \
authority is hardly asked meanwhile. With `--cache off` \
verdicts come from the database, though requests that ask the same at the same time share a call.
- `RevokeKey` is called one at a time. Each change is durable when it returns (`synchronous=FULL`; \
PostgreSQL with its own defaults, on the disk), and each of the connected verifiers had the key in \
its cache and has dropped it by then: checked at both ends, and by the receipts. The verifiers share \
a process.
- A verifier that is frozen has its process stopped; one that is cut off has the wire stopped between \
it and the authority, so that connections stay open and nothing gets through. Nine others are \
connected. In turn a key is disabled, its secret rotated, its workspace suspended and resumed, and \
the key revoked; each time the verifier holds its lease before.
- What is left to the aims, by profiles: of a `Verify` from memory about 5 µs are ours when the code is warm, and two to three times that between the system calls and thread switches of gRPC, which take 60 % of either server's time. Of `/authz`, half of either server's time is the sending. A key that is not in memory takes two hops to SQLite's thread and back, and deeper indices as the books grow. A change on SQLite waits for one synced commit, then for each of ten verifiers to be told and to answer, all on these cores.
- Resident memory is what the process grew by, after a collection of garbage, from 2,000 verdicts on.
- More processes than cores share the cores: on PostgreSQL, processes of the authority beyond these \
make nothing faster on this machine."""
