package openapi_test

import (
	"context"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is where the document lies.
const document = "../../internal/openapi/openapi.json"

func load(ctx context.Context, t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(ctx); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	return doc
}

func TestTheDocumentIsValid(t *testing.T) {
	doc := load(t.Context(), t)
	if doc.Paths.Len() < 30 {
		t.Errorf("the document has only %d paths", doc.Paths.Len())
	}
}
