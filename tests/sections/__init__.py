"""Tests of the sections: one file a notebook."""
