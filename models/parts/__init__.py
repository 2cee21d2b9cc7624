"""What designs are made of: layers, blocks, the U-Net."""
