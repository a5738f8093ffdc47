module actor

go 1.23
