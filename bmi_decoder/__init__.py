"""The library of bmi-decoder: what a decoder is, how it learns, how it is judged, how it is deployed."""

__version__ = "0.1.0"
