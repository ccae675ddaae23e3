"""Every picture, drawn from saved results only, as PNG (200 dpi), SVG and PDF.

No picture goes through pyplot: a user's own figures, settings and backend stay as they are.
"""
