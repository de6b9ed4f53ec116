"""The tests, sorted by purity: core, wire, machines, sim, servers, cluster, house (docs/developing.md)."""
