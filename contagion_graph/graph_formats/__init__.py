"""Graphs and cascades as files for Gephi, igraph, networkx and spreadsheets."""
