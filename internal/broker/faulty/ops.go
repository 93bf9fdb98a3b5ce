package faulty

import "github.com/fenfa/fenfa/internal/fault"

// The calls of the port that can go wrong.
const (
	OpPublish fault.Op = "publish"
	OpOpen    fault.Op = "open"
	OpBacklog fault.Op = "backlog"
	OpDeclare fault.Op = "declare"
	OpRemove  fault.Op = "remove"
	OpNext    fault.Op = "next"
	OpSettle  fault.Op = "settle"
	OpLocate  fault.Op = "locate"
)
