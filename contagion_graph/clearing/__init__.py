"""Clearing: what nodes pay when not all can pay what is due."""
