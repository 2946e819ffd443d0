"""Counting anew what is derived from the events, and putting right what differs."""
