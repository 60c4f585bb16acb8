"""Evaluation: beats and scores in, figures with their protocol out."""
