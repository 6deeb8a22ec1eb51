"""Several ingress processes behind one port."""
