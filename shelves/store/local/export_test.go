package local

// OpenOn is Open on a file system that a test makes fail.
var OpenOn = openOn
