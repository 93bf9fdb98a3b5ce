package task

import "strings"

// ReservedPrefix begins the names that belong to the node itself: of queues, of
// headers, and of records and their keys.
const ReservedPrefix = "fenfa."

// ActivityPrefix begins the keys of records that say who has changed what. Lists and
// watches of records leave them out, and only an admin reads one.
const ActivityPrefix = ReservedPrefix + "activity/"

// AfterActivity is behind all keys that begin with ActivityPrefix.
const AfterActivity = ReservedPrefix + "activity0"

// Reserved reports whether a queue, a header, a record or its key belongs to the
// node: nobody else submits there, sets it or writes to it.
func Reserved(name string) bool { return strings.HasPrefix(name, ReservedPrefix) }

// RefuseReserved is the answer to one who uses such a name; what is "queue",
// "header", "key" or "name".
func RefuseReserved(what, name string) *Error {
	return Errorf(CodeInvalidArgument, "%s %q belongs to the node, as all names that begin with %q do: use another", what, clip(name, 48), ReservedPrefix).WithField(what)
}

// CheckRecordKey refuses keys whose records are the node's own.
func CheckRecordKey(key string) error {
	if Reserved(key) {
		return RefuseReserved("key", key)
	}
	return nil
}
