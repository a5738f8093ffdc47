module engine_naive

go 1.23
