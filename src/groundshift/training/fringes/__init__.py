"""Learning to tell interference fringes of landslides from all others, as Kamiyama et al. (2018) do."""
