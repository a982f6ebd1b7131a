"""Many scenarios at once, on the rows that they can concern."""
