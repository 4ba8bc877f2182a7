"""The emulator against a small HTTP service that misbehaves on demand."""
