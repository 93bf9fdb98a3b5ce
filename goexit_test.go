package fenfa

import "runtime"

// goexit does what testing.T.FailNow does in a handler.
func goexit() { runtime.Goexit() }
