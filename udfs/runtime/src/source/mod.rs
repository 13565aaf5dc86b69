//! Sources: dictionaries that read features out of a model's activations, in every published format.
