"""Training of networks that outline moving ground in interferograms, on data sets in the format of ISSLIDE."""
