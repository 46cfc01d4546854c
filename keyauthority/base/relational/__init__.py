"""The relational databases under both sets of books: where they are, and how to connect to them."""
