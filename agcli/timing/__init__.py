"""`ag timing`: what guiding costs, measured with every method in its own process and in turns."""
