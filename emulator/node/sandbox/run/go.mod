module run

go 1.23
