"""From tables to checked arrays, and back."""
