// Package e2e holds the tests of Postern as a whole: a real directory, real
// Dovecot of both versions, real Postfix, and mail clients that log in over the
// network as anybody would. It has no code but its tests.
//
// matrix_test.go is the promise in one table: service × mechanism × credential ×
// door × account. attackNN_test.go are the rows of that number of the list of
// attacks, each with the servers it needs. world_test.go is what they share: one
// running site for each door, and fresh users for each test, so that the tests
// can run at the same time.
//
// Nothing here waits by the clock. What takes time is polled until it has
// happened, or a deadline says that it never will.
package e2e
