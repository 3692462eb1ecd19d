"""Human evaluation (paper section 6.1, Fig. 3, Appendix C): raters rank the images of anonymous models."""
