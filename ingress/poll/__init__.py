"""Pull APIs: asks vendors for the records that they do not push."""
