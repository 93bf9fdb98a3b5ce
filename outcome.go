package fenfa

import "time"

// Reject marks err as final: a handler that returns it makes its task a dead
// letter at once, without further attempts. Reject(nil) is nil.
func Reject(err error) error {
	if err == nil {
		return nil
	}
	return &rejectError{err}
}

// RetryAfter marks err so that a handler that returns it has its task tried again
// after d instead of after the delay that the retry policy draws. The attempt
// counts as a failed one. A negative d counts as 0. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryError{after: max(d, 0), err: err}
}

type rejectError struct{ err error }

func (e *rejectError) Error() string { return e.err.Error() }
func (e *rejectError) Unwrap() error { return e.err }

type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }
