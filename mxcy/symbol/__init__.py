"""Symbols: graphs as users build, load and save them."""
