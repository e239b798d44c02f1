"""What a rule is measured against: autodiff of a plain forward, NumPy loops, finite differences."""
