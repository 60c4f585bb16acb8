"""CardioTwin: generate, authenticate and identify ECG signals. Research use only."""

__version__ = "0.1.0"
