"""Plotly figures from arrays: the same figure for pages and reports."""
