"""Billing: what a request costs, and the credits that are held for it before it is sent."""
