"""How accounts are liquidated, how prices answer, how losses are shared: one frozen record for each rule."""
