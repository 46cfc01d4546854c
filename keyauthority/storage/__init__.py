"""Where the books are stored: in SQLite, in PostgreSQL, or in memory as the reference for both."""
