"""Markets to try: seeded venues, and networks reconstructed from their margins."""
