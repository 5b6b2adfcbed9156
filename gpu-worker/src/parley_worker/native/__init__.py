"""The model on a CPU in C++: packed weights, attention over paged keys and values, a whole step in one call."""
