"""Makes low quality: blur, noise, rain, JPEG, and the blind degradation."""
