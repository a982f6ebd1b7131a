"""A cascade as one page that can be sent to a colleague."""
