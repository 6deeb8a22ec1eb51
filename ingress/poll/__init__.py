"""Pull APIs: asking vendors for the records that they do not push."""
