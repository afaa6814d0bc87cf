"""Doorward beside its peers: see benches/run."""
