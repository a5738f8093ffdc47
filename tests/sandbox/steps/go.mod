module steps

go 1.23
