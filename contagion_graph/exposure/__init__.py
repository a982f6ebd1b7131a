"""What traders are exposed to: directly, and through what others do."""
