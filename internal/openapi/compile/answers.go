package compile

// refusal is a status of errors, and why a route answers so.
type refusal struct {
	status, name, why string
	retried           bool // the answer may say when to come back
}

// refusals are the outer side of the closed set of codes, and what the edge refuses
// by itself.
func refusals() []refusal {
	return []refusal{
		{"400", "BadRequest", "The request is wrong, and stays wrong when it is repeated: code invalid_argument. The field at fault is named.", false},
		{"401", "Unauthorized", "The node wants to know who is calling: send a token.", false},
		{"403", "Forbidden", "The caller may not do this, or a page of another origin made a browser send it.", false},
		{"404", "NotFound", "What is asked for does not exist: code not_found.", false},
		{"409", "Conflict", "The state of things is not what the request needs: code conflict, already_exists, failed_precondition or stale.", false},
		{"413", "TooLarge", "A limit of size is exceeded: code too_large.", false},
		{"415", "UnsupportedMediaType", "The body has a Content-Encoding: send it as it is.", false},
		{"429", "TooManyRequests", "A limit is reached: code resource_exhausted. Come back after the delay that the answer names.", true},
		{"500", "Internal", "The node failed at this request: code internal. That is a defect.", false},
		{"501", "NotImplemented", "This version does not do that: code unimplemented.", false},
		{"503", "Unavailable", "Not now, and not here: code unavailable. A repeat is safe.", true},
	}
}

// Names of what describes errors.
const (
	failureName = "ErrorResponse"
	detailName  = "ErrorDetail"
)

// refusalResponses are the answers that operations refer to.
func refusalResponses() map[string]*Response {
	responses := map[string]*Response{}
	for _, r := range refusals() {
		answer := &Response{Description: r.why, Content: of(refTo(failureName))}
		if r.retried {
			answer.Headers = map[string]Header{"Retry-After": {
				Description: "Seconds after which a repeat may succeed.", Schema: &Schema{Type: "integer"},
			}}
		}
		responses[r.name] = answer
	}
	return responses
}

// answers are all answers of an operation that succeeds with this one.
func answers(success *Response) map[string]*Response {
	all := map[string]*Response{"200": success}
	for _, r := range refusals() {
		all[r.status] = &Response{Ref: "#/components/responses/" + r.name}
	}
	return all
}

// failureSchemas describe the body of an error.
func failureSchemas() map[string]*Schema {
	return map[string]*Schema{
		failureName: {
			Type: "object", Description: "The body of every error.", Required: []string{"error"},
			Properties: map[string]*Schema{"error": refTo(detailName)},
		},
		detailName: {
			Type: "object", Description: "What was wrong and what to do.", Required: []string{"code", "message"},
			Properties: map[string]*Schema{
				"code": {
					Type: "string", Description: "One of a closed set of reasons.",
					Enum: []string{
						"invalid_argument", "not_found", "already_exists", "conflict", "failed_precondition", "resource_exhausted", "too_large",
						"unavailable", "unimplemented", "internal", "stale", "unauthenticated", "permission_denied",
					},
				},
				"message":     {Type: "string", Description: "For a person: what was wrong and what to do."},
				"field":       {Type: "string", Description: "Path of the field at fault."},
				"retry_after": {Type: "string", Pattern: durationPattern, Description: "After which a repeat may succeed, in seconds, with an s behind."},
			},
		},
	}
}
