"""Spending of credits by a verifier: its durable list of holds and charges, the spool."""
