"""The relational databases under both sets of books: locations, connections, schemas, outages."""
