module framekeep

go 1.21
