package openapi

import _ "embed"

//go:embed openapi.json
var document string

// Document is the document as JSON.
func Document() string { return document }
