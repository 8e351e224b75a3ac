"""What each modality contributes, and how well that is known: arrays in, numbers with intervals out. No MuData, no figures."""
