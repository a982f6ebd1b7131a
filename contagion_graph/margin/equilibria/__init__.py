"""The fixed points of a cascade: bounds, the least and the greatest, and how close to a spiral."""
