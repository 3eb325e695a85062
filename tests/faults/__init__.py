"""The suite under test: wrong implementations of attention, each of which the conformance cases must reject."""
