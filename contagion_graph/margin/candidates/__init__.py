"""Cascades on the accounts that they can concern, copied together: of one scenario, or of many."""
