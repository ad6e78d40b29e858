"""Sessions, and the workers behind them."""
