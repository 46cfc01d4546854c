"""What a request costs: amounts, prices, and the usage that answers tell. Pure: no I/O, no clock."""
