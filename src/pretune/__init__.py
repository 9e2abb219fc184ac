"""pretune: language models of your own."""
