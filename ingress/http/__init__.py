"""HTTP in: routes and authorization, the body read within bounds, the record made of it, and the response."""
