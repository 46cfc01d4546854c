"""The books, kept: in a database through SQL, or in memory as the reference for both."""
