module opentoken/unavailable

go 1.21
