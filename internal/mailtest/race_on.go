//go:build race

package mailtest

// raceEnabled: the test runs with the race detector, and so shall the daemons.
const raceEnabled = true
