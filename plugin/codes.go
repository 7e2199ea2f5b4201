package plugin

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// statuses are how errors cross the connection. None of these codes is ever made by gRPC
// itself (see factor.proto), so that no broken connection is taken for a verdict.
var statuses = []struct {
	err  error
	code codes.Code
}{
	{ErrWrong, codes.FailedPrecondition},
	{ErrPending, codes.Aborted},
	{ErrForm, codes.InvalidArgument},
	{ErrExpired, codes.OutOfRange},
	{ErrUsed, codes.AlreadyExists},
	{ErrNoRecord, codes.NotFound},
	{ErrUnavailable, codes.Unavailable},
}

// toStatus is an error of a Factor as gRPC carries it.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return status.Error(s.code, err.Error())
		}
	}
	return status.Error(codes.Unavailable, err.Error())
}

// FromStatus is toStatus's inverse, for the webhook: an error of the connection as well
// as of the plug-in. Whatever is no verdict wraps ErrUnavailable.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	code := status.Code(err)
	for _, s := range statuses {
		if s.code == code {
			return &statusError{s.err, err}
		}
	}
	return &statusError{ErrUnavailable, err}
}

// statusError is one of ours with gRPC's text.
type statusError struct{ kind, from error }

func (e *statusError) Error() string { return e.kind.Error() + ": " + e.from.Error() }

// Unwrap is the kind, and what gRPC says.
func (e *statusError) Unwrap() []error { return []error{e.kind, e.from} }
