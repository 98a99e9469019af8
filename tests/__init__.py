"""The tests: unit, contract, integration, faults and parity."""
