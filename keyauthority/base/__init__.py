"""What all three programs stand on; it knows no keys."""
