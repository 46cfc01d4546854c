"""The books in memory: the reference for the other stores, lost at the end of the process."""

from keyauthority.storage.memory.store import MemoryStore

__all__ = ["MemoryStore"]
