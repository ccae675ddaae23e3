"""Files of any kind and in any packing, opened and read with row numbers; what they mean, `formats/` knows."""
