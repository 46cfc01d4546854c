"""What Alembic runs to get at the database: it is handed a connection, with a transaction open."""

from alembic import context

from console.people.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
