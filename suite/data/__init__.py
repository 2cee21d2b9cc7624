"""Images in: reading, data sets, degradations and the training sampler."""
