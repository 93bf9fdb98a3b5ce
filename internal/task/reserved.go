package task

import "strings"

// ReservedPrefix begins the names that belong to the node itself: of queues, of
// headers, and of the keys of records.
const ReservedPrefix = "fenfa."

// Reserved reports whether a queue, a header or the key of a record belongs to the
// node: nobody else submits there, sets it or writes to it.
func Reserved(name string) bool { return strings.HasPrefix(name, ReservedPrefix) }

// RefuseReserved is the answer to one who uses such a name; what is "queue",
// "header" or "key".
func RefuseReserved(what, name string) *Error {
	return Errorf(CodeInvalidArgument, "%s %q belongs to the node, as all names that begin with %q do: use another", what, clip(name, 48), ReservedPrefix).WithField(what)
}
