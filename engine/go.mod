module engine

go 1.23
