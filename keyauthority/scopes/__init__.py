"""Scopes: what keys may be limited to, by the rules of a file."""
