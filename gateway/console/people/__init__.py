"""The console's own books: people, their memberships, invitations and sessions."""
