//go:build !race

package mailtest

// raceEnabled: the test runs without the race detector, and so do the daemons.
const raceEnabled = false
