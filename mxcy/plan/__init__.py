"""Plans: graphs made ready for one signature, and what runs them."""
