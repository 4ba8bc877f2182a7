"""The tests: unit (no service), contract (one part and its neighbours), e2e (the whole stack), faults (kills)."""
