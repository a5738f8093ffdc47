module pause

go 1.23
