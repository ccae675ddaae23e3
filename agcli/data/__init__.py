"""Source formats, one file each, and the one prepared form that they all become."""
