"""Importance by absence: what a shock costs where some traders are not there, or hold less."""
