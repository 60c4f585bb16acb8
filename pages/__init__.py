"""A file a page: layout and words; no signal processing, no TensorFlow."""
