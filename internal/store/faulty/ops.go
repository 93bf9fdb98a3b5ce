package faulty

import "github.com/fenfa/fenfa/internal/fault"

// The calls of the port that can go wrong.
const (
	OpClaim    fault.Op = "claim"
	OpCommit   fault.Op = "commit"
	OpLoad     fault.Op = "load"
	OpGet      fault.Op = "get"
	OpMetaGet  fault.Op = "meta get"
	OpMetaPut  fault.Op = "meta put"
	OpMetaList fault.Op = "meta list"
)
