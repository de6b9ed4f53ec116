"""The rules of the house: layering, sizes, words, docs, the build itself."""
