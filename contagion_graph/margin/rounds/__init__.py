"""The path of a cascade, round by round."""
