"""What all programs stand on. It imports nothing of ours and knows no keys."""
