"""Physical and instrumental constants, SI units."""

SPEED_OF_LIGHT = 299_792_458.0
"""Metres per second."""

DAYS_PER_YEAR = 365.25

EARTH_RADIUS = 6_371_008.8
"""Mean radius in metres; only for the ground size of a pixel given in degrees."""

SENTINEL1_WAVELENGTH = 0.055465763
"""Metres, from the radar frequency 5.405000454 GHz."""
