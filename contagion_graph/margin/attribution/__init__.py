"""Who caused whose loss, and along which chains."""
