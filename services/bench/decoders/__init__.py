"""One step of each decoder in several runtimes, back to back and at the real cadence, beside a bound from memory."""
