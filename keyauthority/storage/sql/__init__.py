"""The books as SQL: the same statements for every database."""
