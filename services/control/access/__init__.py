"""Who may use the control plane."""
