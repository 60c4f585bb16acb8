"""Preprocessing: from a recording to a clean signal, R peaks, beats, features and quality."""
