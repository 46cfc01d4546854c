"""Checks a verifier in any language: a scripted authority, and a program that answers its questions.

`docs/sync-protocol.md` has the rules, and how a program is asked. The test vectors (`vectors.jsonl`) are
what the shipped verifier does in a simulation; `driving` does the same with a program, over a real socket.
"""
