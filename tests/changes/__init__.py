"""Tests of the changes and of the loop that makes them."""
