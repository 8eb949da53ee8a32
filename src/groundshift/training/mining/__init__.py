"""Training of networks that find and unwrap mining subsidence in single interferograms."""
