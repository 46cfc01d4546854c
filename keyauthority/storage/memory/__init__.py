"""The books in memory: the reference for the others, and gone with the process."""

from keyauthority.storage.memory.store import MemoryStore

__all__ = ["MemoryStore"]
